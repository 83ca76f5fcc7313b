import { constants } from "node:fs";
import { type FileHandle, open, opendir, stat } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { MullError } from "../spec/errors.ts";
import { throwIfAborted } from "./abort.ts";
import { nearNames } from "../spec/near-names.ts";

/** Names of a folder that are looked at for a suggestion: a folder may hold a million files. */
const SUGGESTION_ENTRIES = 5000;

/**
 * Reads a whole file that a person named.
 *
 * The size is checked before anything is read, and again while reading, because a file can grow.
 * A pipe or a device is refused without opening it: reading one can block for ever, or act on hardware.
 *
 * @param file a path; `~/` stands for the home folder
 * @param name what errors call it
 * @throws MullError media_not_found, unsupported_media (a folder, pipe or device), media_too_large, aborted
 */
export async function readLocalFile(
  file: string,
  name: string,
  limitBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const location = file.startsWith("~/") ? path.join(homedir(), file.slice(2)) : file;
  let handle: FileHandle | undefined;
  try {
    refuseSpecialFile(await stat(location), name);
    // O_NONBLOCK: if a pipe took the file's place just now, opening it does not wait for a writer.
    handle = await open(location, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const facts = await handle.stat();
    refuseSpecialFile(facts, name);
    if (facts.size > limitBytes) throw tooLarge(name, facts.size, limitBytes);
    return await readAll(handle, facts.size, name, limitBytes, signal);
  } catch (error) {
    throw await explainFileError(error, location, name);
  } finally {
    await handle?.close();
  }
}

function refuseSpecialFile(facts: { isFile(): boolean; isDirectory(): boolean }, name: string): void {
  if (facts.isFile()) return;
  if (facts.isDirectory()) {
    throw new MullError("unsupported_media", `${name} is a folder, not a picture.`, {
      hint: "Name the pictures in it one by one.",
    });
  }
  throw new MullError("unsupported_media", `${name} is a pipe or a device, not a file.`, {
    hint: "Save what it yields in a file first, or pipe it into the command: cat x.png | mull run pico",
  });
}

async function readAll(
  handle: FileHandle,
  expectedBytes: number,
  name: string,
  limitBytes: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  // One byte more than expected: the read that finds the end of the file needs room.
  let buffer = new Uint8Array(expectedBytes + 1);
  let length = 0;
  for (;;) {
    throwIfAborted(signal);
    const { bytesRead } = await handle.read(buffer, length, Math.min(buffer.length - length, 4 * 1024 ** 2));
    if (bytesRead === 0) return buffer.slice(0, length);
    length += bytesRead;
    if (length > limitBytes) throw tooLarge(name, length, limitBytes);
    if (length === buffer.length) {
      const larger = new Uint8Array(buffer.length * 2);
      larger.set(buffer);
      buffer = larger;
    }
  }
}

/** The error of a file that is over a limit of bytes. */
export function tooLarge(name: string, bytes: number, limitBytes: number): MullError {
  const size = (value: number): string => `${(value / 1024 ** 2).toFixed(1)} MiB`;
  return new MullError("media_too_large", `${name} has ${size(bytes)}; the limit is ${size(limitBytes)}.`, {
    hint: "Make the picture smaller first. Models look at about one megapixel.",
    details: { bytes, limitBytes },
  });
}

async function explainFileError(error: unknown, location: string, name: string): Promise<MullError> {
  if (MullError.is(error) || !(error instanceof Error)) return MullError.wrap(error);
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
    case "ENOTDIR": {
      const hint = await suggest(location);
      return new MullError("media_not_found", `There is no file ${name}.`, { hint, cause: error });
    }
    case "EACCES":
    case "EPERM":
      return new MullError("media_not_found", `${name} may not be read: permission denied.`, {
        hint: "Check the permissions of the file and of the folders above it.",
        cause: error,
      });
    case "ENAMETOOLONG":
    case "ERR_INVALID_ARG_VALUE":
      return new MullError("media_not_found", `No file can have the name ${name}.`, {
        hint: "Give a path, or bytes as a Uint8Array or a data: URL.",
        cause: error,
      });
    default:
      return new MullError("media_not_found", `${name} could not be read: ${error.message}.`, {
        cause: error,
      });
  }
}

async function suggest(location: string): Promise<string> {
  const folder = path.dirname(location);
  const names: string[] = [];
  try {
    for await (const entry of await opendir(folder)) {
      names.push(entry.name);
      if (names.length === SUGGESTION_ENTRIES) break;
    }
  } catch {
    return `The folder ${folder} does not exist either.`;
  }
  const near = nearNames(path.basename(location), names);
  return near.length > 0 ? `Did you mean ${near.join(", or ")}?` : "Check the path.";
}
