import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { MullError } from "../spec/errors.ts";

/** Gives a finished file its name: whole and on the disk, also after a power cut, or not at all. */
export async function publishFile(unfinished: string, path: string): Promise<void> {
  await synced(await open(unfinished, "r+"));
  await rename(unfinished, path);
  // Windows opens no folders; there a rename is in the journal.
  const folder = await open(dirname(path), "r").catch(() => undefined);
  if (folder !== undefined) await synced(folder);
}

async function synced(handle: FileHandle): Promise<void> {
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What a failed write means: a full disk says so, everything else stays as it is. */
export function writeError(path: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (code !== "ENOSPC" && code !== "EDQUOT") return cause;
  return new MullError("insufficient_storage", `${path} could not be written: the disk is full.`, {
    hint: "Make room, for example with `mull rm`, or write to another disk.",
    details: { path },
    cause,
  });
}
