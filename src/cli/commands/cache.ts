import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import { cacheDirectory } from "../../cache/cache-directory.ts";
import { cacheSizeLimit } from "../../cache/cache-size.ts";
import { DiskCache } from "../../cache/disk-cache.ts";
import type { EntryFile } from "../../cache/entry-listing.ts";
import { fileSystem } from "../../cache/file-system.ts";
import type { CliContext } from "../cli-context.ts";
import { formatBytes } from "../terminal/format-quantity.ts";
import { safeName } from "../terminal/safe-text.ts";

interface Row {
  kind: string;
  key: string;
  bytes: number;
  lastUsed: string;
  created?: string;
  /** Facts as the engine wrote them; absent where they cannot be read. */
  meta?: unknown;
}

/** `mull cache path` */
export async function printCachePath({ stdout, env }: CliContext): Promise<number> {
  stdout.write(`${cacheDirectory(env)}\n`);
  return 0;
}

/** `mull cache ls`: entries, last used first, and what they take of what they may. */
export async function listCache({ json }: { json: boolean }, context: CliContext): Promise<number> {
  const cache = openCache(context);
  const entries = [...cache.list()].sort((a, b) => b.usedMs - a.usedMs);
  const rows = entries.map((entry) => describeEntry(cache, entry));
  const bytes = sumBytes(entries);
  const { directory, limitBytes } = cache;
  if (json) {
    context.stdout.write(`${JSON.stringify({ directory, bytes, limitBytes, entries: rows })}\n`);
    return 0;
  }
  if (rows.length > 0) context.stdout.write(table(rows));
  const total = `${entriesText(rows.length)}, ${formatBytes(bytes)} of at most ${formatBytes(limitBytes)}`;
  context.stdout.write(`${total} in ${safeName(directory)}\n`);
  return 0;
}

/** `mull cache clear`: removes entries of these kinds (none: all) that were not used for so long. */
export async function clearCache(
  { kinds, olderThanMs }: { kinds: readonly string[]; olderThanMs: number },
  context: CliContext,
): Promise<number> {
  const cache = openCache(context);
  const before = Date.now() - olderThanMs;
  const entries = [...cache.list()].filter(
    ({ kind, usedMs }) =>
      (kinds.length === 0 || kinds.includes(kind)) && (olderThanMs === 0 || usedMs < before),
  );
  const removed = entries.filter((entry) => cache.remove(entry));
  context.stdout.write(`Removed ${entriesText(removed.length)}, ${formatBytes(sumBytes(removed))}.\n`);
  if (removed.length === entries.length) return 0;
  const left = entriesText(entries.length - removed.length);
  context.stderr.write(`${left} could not be removed from ${safeName(cache.directory)}.\n`);
  return 1;
}

/** `mull cache verify`: reads everything. @returns 1 if something was damaged */
export async function verifyCache(context: CliContext): Promise<number> {
  const cache = openCache(context);
  const counts = { good: 0, damaged: 0, absent: 0, unreadable: 0 };
  let bytes = 0;
  for (const entry of cache.list()) {
    context.signal.throwIfAborted();
    counts[cache.verify(entry)] += 1;
    bytes += entry.bytes;
    // Ctrl-C is noticed between entries.
    await setImmediate();
  }
  const { good, damaged, unreadable } = counts;
  context.stdout.write(
    `${entriesText(good)} good, ${damaged} damaged and removed` +
      `${unreadable === 0 ? "" : `, ${unreadable} not readable`} (${formatBytes(bytes)} read).\n`,
  );
  return damaged + unreadable === 0 ? 0 : 1;
}

function openCache({ env }: CliContext): DiskCache {
  const directory = cacheDirectory(env);
  return new DiskCache({ directory, limitBytes: cacheSizeLimit(fileSystem, directory, env) });
}

function describeEntry(cache: DiskCache, entry: EntryFile): Row {
  const { kind, key, bytes, usedMs } = entry;
  const row: Row = { kind, key, bytes, lastUsed: new Date(usedMs).toISOString() };
  const glance = cache.glance(entry);
  if (glance !== undefined) {
    const created = new Date(glance.header.createdMs);
    if (!Number.isNaN(created.valueOf())) row.created = created.toISOString();
    row.meta = glance.meta;
  }
  return row;
}

function table(rows: readonly Row[]): string {
  const now = Date.now();
  const cells = rows.map((row) => [
    row.kind,
    row.key.slice(0, 12),
    formatBytes(row.bytes),
    agoText(now - Date.parse(row.lastUsed)),
    safeName(factsText(row)),
  ]);
  const lines = [["KIND", "KEY", "SIZE", "LAST USED", "OF"], ...cells];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const text = lines.map((line) =>
    line
      .map((cell, column) =>
        column === 2 ? cell.padStart(widths[2] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
  return `${text.join("\n")}\n`;
}

/** "bakllava, 640x480, 576 tokens": as far as the facts say; they are a file's, and may be anything. */
function factsText({ meta }: Row): string {
  if (meta === undefined) return "damaged, or not readable";
  if (typeof meta !== "object" || meta === null) return "";
  const { model, pictures, tokens, path } = meta as Record<string, unknown>;
  const facts: string[] = [];
  if (typeof model === "string") facts.push(model);
  if (typeof path === "string") facts.push(basename(path));
  for (const picture of Array.isArray(pictures) ? (pictures as unknown[]) : []) {
    const { width, height } = (picture ?? {}) as Record<string, unknown>;
    if (typeof width === "number" && typeof height === "number") facts.push(`${width}x${height}`);
  }
  if (typeof tokens === "number") facts.push(`${tokens} tokens`);
  return facts.join(", ");
}

function agoText(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ago`;
  return `${Math.floor(hours / 24)} days ago`;
}

function entriesText(count: number): string {
  return `${count} ${count === 1 ? "entry" : "entries"}`;
}

function sumBytes(entries: readonly EntryFile[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}
