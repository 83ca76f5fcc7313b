import type { BigIntStats } from "node:fs";
import { lstat, opendir, stat } from "node:fs/promises";
import { join } from "node:path";

/** A file that was asked for, or what stands in its place. */
export interface WalkedFile {
  path: string;
  /** From the root, with `/` between folders. */
  relative: string;
  /** In bytes. */
  size: number;
  modifiedMs: number;
  /** Why it cannot be a model. */
  problem?: string;
  /** A folder that could not be read, or not to its end. */
  isFolder?: true;
}

export interface WalkOptions {
  /** 1: only what lies in the root itself. */
  depth: number;
  /** By name, without folders. */
  wants: (name: string) => boolean;
  /** Files and folders looked at. Default 20,000. */
  mostEntries?: number;
}

/**
 * All wanted files below a folder. It follows links, but no folder twice, and stops at a limit: folders of other
 * programs may hold anything. Never throws; a root that is not there holds nothing.
 */
export async function walkFolder(root: string, options: WalkOptions): Promise<readonly WalkedFile[]> {
  const { depth, wants, mostEntries = 20_000 } = options;
  const files: WalkedFile[] = [];
  const visited = new Set<string>();
  let left = mostEntries;

  const report = (path: string, relative: string, problem: string): void =>
    void files.push({ path, relative, size: 0, modifiedMs: 0, problem, isFolder: true });

  const visit = async (folder: string, relative: string, levels: number): Promise<void> => {
    const identity = await stat(folder, { bigint: true }).catch(() => undefined);
    if (identity === undefined || !identity.isDirectory()) return;
    const key = `${identity.dev}:${identity.ino}`;
    if (visited.has(key)) return;
    visited.add(key);
    const folders: string[] = [];
    try {
      for await (const entry of await opendir(folder)) {
        if (left-- <= 0) {
          report(folder, relative, `has more than ${mostEntries} files; the rest was not looked at`);
          return;
        }
        const path = join(folder, entry.name);
        const below = relative === "" ? entry.name : `${relative}/${entry.name}`;
        if (entry.isDirectory()) folders.push(entry.name);
        else if (entry.isSymbolicLink() && (await leadsToFolder(path))) folders.push(entry.name);
        else if (wants(entry.name)) files.push(await look(path, below));
      }
    } catch (error) {
      report(folder, relative, `cannot be read (${codeOf(error)})`);
    }
    if (levels <= 1) return;
    for (const name of folders.sort()) {
      if (left <= 0) return;
      await visit(join(folder, name), relative === "" ? name : `${relative}/${name}`, levels - 1);
    }
  };

  await visit(root, "", depth);
  return files.sort((a, b) => (a.relative < b.relative ? -1 : 1));
}

async function leadsToFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

async function look(path: string, relative: string): Promise<WalkedFile> {
  try {
    const stats = await stat(path, { bigint: true });
    return { path, relative, ...sizeOf(stats), ...(stats.isFile() ? {} : { problem: "is no regular file" }) };
  } catch (error) {
    const link = await lstat(path).catch(() => undefined);
    const problem =
      link?.isSymbolicLink() === true ? "is a link that leads nowhere" : `cannot be read (${codeOf(error)})`;
    return { path, relative, size: 0, modifiedMs: link?.mtimeMs ?? 0, problem };
  }
}

function sizeOf({ size, mtimeMs }: BigIntStats): { size: number; modifiedMs: number } {
  return { size: Number(size), modifiedMs: Number(mtimeMs) };
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "unknown";
}
