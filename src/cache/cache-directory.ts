import { homedir } from "node:os";
import path from "node:path";
import type { CacheKey } from "./cache-key.ts";

/** What an entry holds: encoder outputs, a state of the KV cache, or the SHA-256 of a model file. */
export type EntryKind = "rows" | "snapshot" | "digest";

export const ENTRY_KINDS: readonly EntryKind[] = ["rows", "snapshot", "digest"];

const FOLDERS: Readonly<Record<EntryKind, string>> = {
  rows: "rows",
  snapshot: "snapshots",
  digest: "digests",
};

/**
 * Where everything lies that can be computed again: MULL_CACHE_DIR, else `$XDG_CACHE_HOME/mull`, else
 * `~/.cache/mull`. A relative XDG_CACHE_HOME counts as not set, as its specification wants.
 */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const own = env["MULL_CACHE_DIR"] ?? "";
  if (own !== "") return path.resolve(own);
  const shared = env["XDG_CACHE_HOME"] ?? "";
  const base = path.isAbsolute(shared) ? shared : path.join(env["HOME"] || homedir(), ".cache");
  return path.join(base, "mull");
}

export function entryFolder(directory: string, kind: EntryKind): string {
  return path.join(directory, FOLDERS[kind]);
}

/** The only way to a path of an entry: a key has 64 hex digits and nothing that could lead elsewhere. */
export function entryPath(directory: string, kind: EntryKind, key: CacheKey): string {
  return path.join(entryFolder(directory, kind), key);
}
