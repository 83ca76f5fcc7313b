import { crc32 } from "node:zlib";
import { type Digest, parseDigest } from "../digest.ts";
import { type Extent, ExtentSet, MOST_EXTENT_BYTES } from "./extents.ts";

/**
 * What a journal says about the partial file beside it. One line each, with a CRC-32 of its own; a line that is torn,
 * zeroed or not ours is no line. The first says what the file will be:
 *
 *     mull-partial-1 <size> <name>
 *     have <offset> <length> <checksum>      these bytes were written and synced
 *     is <digest>                            the blob is complete, and in the store under this name
 */
export interface Journal {
  size: number;
  /** Names the content: a journal that was copied to another name is void. */
  name: string;
  extents: ExtentSet;
  digest: Digest | undefined;
}

export function headerLine(size: number, name: string): string {
  return sealed(`mull-partial-1 ${size} ${name}`);
}

export function extentLine({ offset, length, checksum }: Extent): string {
  return sealed(`have ${offset} ${length} ${hex(checksum)}`);
}

export function digestLine(digest: Digest): string {
  return sealed(`is ${digest}`);
}

/** Undefined for bytes that do not begin as a journal does. Never throws. */
export function parseJournal(bytes: Uint8Array): Journal | undefined {
  // Latin-1 keeps every byte, so that damage cannot heal by decoding.
  const [first = "", ...rest] = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("latin1")
    .split("\n");
  const header = /^mull-partial-1 (\d{1,16}) ([\w-]{1,100})$/.exec(unsealed(first) ?? "");
  const size = Number(header?.[1]);
  if (!Number.isSafeInteger(size)) return undefined;
  const journal: Journal = { size, name: header?.[2] ?? "", extents: new ExtentSet(), digest: undefined };
  for (const line of rest) readLine(unsealed(line) ?? "", journal);
  return journal;
}

function readLine(line: string, journal: Journal): void {
  const have = /^have (\d{1,16}) (\d{1,8}) ([0-9a-f]{8})$/.exec(line);
  if (have !== null) {
    const [offset, length] = [Number(have[1]), Number(have[2])];
    if (length < 1 || length > MOST_EXTENT_BYTES || offset + length > journal.size) return;
    journal.extents.add({ offset, length, checksum: Number.parseInt(have[3] as string, 16) });
  } else if (line.startsWith("is ")) journal.digest = parseDigest(line.slice(3));
}

function sealed(line: string): string {
  return `${line} ${hex(crc32(line))}\n`;
}

function unsealed(line: string): string | undefined {
  const text = line.slice(0, -9);
  return line === sealed(text).slice(0, -1) ? text : undefined;
}

function hex(checksum: number): string {
  return checksum.toString(16).padStart(8, "0");
}
