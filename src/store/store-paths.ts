import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { type Digest, hexOf } from "./digest.ts";
import type { ModelName } from "./model-name.ts";

/**
 * Where things lie in a store. `manifests/` and `blobs/` are Ollama's layout, so that either program reads the
 * other's models; the rest is ours and stands beside them.
 *
 *     manifests/<host>/<namespace>/<model>/<tag>   JSON
 *     blobs/sha256-<hex>                           content; it has this name only when it was verified
 *     verified/<hex>                               size and times of the blob when it was verified
 *     partial/<key>.data, .journal                 what is there of an unfinished download
 *     damaged/                                     blobs whose content was not what their name said
 *     locks/                                       who works here now
 */
export interface StorePaths {
  readonly root: string;
  readonly manifests: string;
  readonly blobs: string;
  readonly verified: string;
  readonly partial: string;
  readonly damaged: string;
  readonly locks: string;
  manifest(name: ModelName): string;
  blob(digest: Digest): string;
  verification(digest: Digest): string;
}

export function storePaths(root: string): StorePaths {
  const folder = (name: string): string => join(root, name);
  return {
    root,
    manifests: folder("manifests"),
    blobs: folder("blobs"),
    verified: folder("verified"),
    partial: folder("partial"),
    damaged: folder("damaged"),
    locks: folder("locks"),
    manifest: ({ host, namespace, model, tag }) =>
      join(root, "manifests", folderOfHost(host), namespace, model, tag),
    blob: (digest) => join(root, "blobs", `sha256-${hexOf(digest)}`),
    verification: (digest) => join(root, "verified", hexOf(digest)),
  };
}

/** Windows has no `:` in the name of a folder. */
export function folderOfHost(host: string): string {
  return process.platform === "win32" ? host.replaceAll(":", "%3A") : host;
}

export function hostOfFolder(folder: string): string {
  return process.platform === "win32" ? folder.replaceAll("%3A", ":") : folder;
}

/** `MULL_MODELS`, else `$XDG_DATA_HOME/mull/models`, else `~/.local/share/mull/models`. */
export function defaultStoreRoot(env: NodeJS.ProcessEnv): string {
  const chosen = env["MULL_MODELS"];
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  const data = env["XDG_DATA_HOME"];
  const home = env["HOME"] ?? homedir();
  // The XDG specification: a path that is not absolute is to be ignored.
  return join(
    data !== undefined && isAbsolute(data) ? data : join(home, ".local", "share"),
    "mull",
    "models",
  );
}
