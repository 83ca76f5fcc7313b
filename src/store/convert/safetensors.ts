import { type FileHandle, open } from "node:fs/promises";
import { invalidModel, quote } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";

/** A tensor in a safetensors file. */
export interface StoredTensor {
  name: string;
  dtype: DtypeName;
  /** Lengths as PyTorch has them: the last one is the row length, the fastest to vary. */
  shape: readonly number[];
  /** The file, and where in it the data starts, in bytes. */
  path: string;
  offset: number;
  bytes: number;
}

/** Bytes of one element, by the name in the file. Types of less than a byte are left out: no weights here have them. */
const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
} as const;

export type DtypeName = keyof typeof DTYPE_BYTES;

/** The format's own limit. */
const MOST_HEADER_BYTES = 100_000_000;
const MOST_DIMENSIONS = 64;

/**
 * Reads the header of a safetensors file. As the format demands, the data of the tensors follow each other without
 * gap or overlap, and end where the file ends.
 *
 * @throws MullError `invalid_model` that says what is wrong; `model_not_found`
 */
export async function readSafetensors(path: string): Promise<readonly StoredTensor[]> {
  const handle = await open(path, "r").catch((cause: unknown) => {
    throw new MullError("model_not_found", `${path} cannot be opened.`, { cause });
  });
  try {
    const { size } = await handle.stat();
    const length = headerLength(path, await readExactly(handle, path, 0, Math.min(8, size)), size);
    const header = await readExactly(handle, path, 8, length);
    return placeTensors(path, parseHeader(path, header), 8 + length, size);
  } finally {
    await handle.close();
  }
}

function headerLength(path: string, prefix: Buffer, fileBytes: number): number {
  if (prefix.length < 8) throw invalidModel(path, `${fileBytes} bytes are no safetensors file`);
  const length = prefix.readBigUInt64LE();
  if (length > MOST_HEADER_BYTES) {
    throw invalidModel(path, `it is no safetensors file, or its header of ${length} bytes is over the limit`);
  }
  if (8 + Number(length) > fileBytes) {
    throw invalidModel(
      path,
      `its header ends at byte ${8n + length}, but the file has ${fileBytes}`,
      CUT_OFF,
    );
  }
  return Number(length);
}

const CUT_OFF = "The file is cut off: the download or copy did not finish. Get it again.";

/** @returns entries by name, unchecked but for the JSON itself */
function parseHeader(path: string, header: Buffer): [string, unknown][] {
  // The format says so, and it tells other files from this one before they are parsed.
  if (header[0] !== 0x7b) throw invalidModel(path, "its header is no JSON object");
  let root: unknown;
  try {
    root = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(header));
  } catch (cause) {
    const problem = cause instanceof SyntaxError ? "no JSON" : "no UTF-8";
    throw invalidModel(path, `its header is ${problem}`);
  }
  if (countKeys(header) !== countParsedKeys(root)) {
    throw invalidModel(path, "its header names something twice");
  }
  return Object.entries(root as object).filter(([name]) => name !== "__metadata__");
}

/** Colons outside strings: one for every key that is written. JSON.parse keeps only the last of equal keys. */
function countKeys(json: Uint8Array): number {
  let count = 0;
  let inString = false;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === 0x22) inString = !inString;
    else if (inString && byte === 0x5c) at++;
    else if (!inString && byte === 0x3a) count++;
  }
  return count;
}

function countParsedKeys(root: unknown): number {
  let count = 0;
  // Not recursive: a header may nest deeper than the stack.
  const waiting = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value !== "object" || value === null) continue;
    const items = Object.values(value);
    if (!Array.isArray(value)) count += items.length;
    for (const item of items) waiting.push(item);
  }
  return count;
}

function placeTensors(
  path: string,
  entries: readonly [string, unknown][],
  dataStart: number,
  fileBytes: number,
): readonly StoredTensor[] {
  const placed = entries
    .map(([name, entry]) => placeTensor(path, name, entry, dataStart))
    .toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let expected = dataStart;
  for (const { name, offset, bytes } of placed) {
    if (offset !== expected) {
      const problem = offset < expected ? "overlaps the tensor before it" : "leaves a gap before it";
      throw invalidModel(path, `tensor ${quote(name)} ${problem}`);
    }
    expected = offset + bytes;
  }
  if (expected > fileBytes) {
    throw invalidModel(path, `its tensors end at byte ${expected}, but the file has ${fileBytes}`, CUT_OFF);
  }
  if (expected < fileBytes) {
    throw invalidModel(path, `${fileBytes - expected} bytes at its end belong to no tensor`);
  }
  return placed;
}

function placeTensor(path: string, name: string, entry: unknown, dataStart: number): StoredTensor {
  const fail = (problem: string): never => {
    throw invalidModel(path, `tensor ${quote(name)} ${problem}`);
  };
  if (typeof entry !== "object" || entry === null) return fail("has no description");
  const { dtype, shape, data_offsets: offsets } = entry as Record<string, unknown>;
  if (typeof dtype !== "string") return fail("has no dtype");
  if (!isDtype(dtype)) return fail(`is of type ${quote(dtype)}, which mull does not know`);
  if (!isLengths(shape) || shape.length > MOST_DIMENSIONS) return fail("has no valid shape");
  if (!isLengths(offsets) || offsets.length !== 2) return fail("has no valid data_offsets");
  const [start = 0, end = 0] = offsets;
  const bytes = shape.reduce((product, length) => product * length, DTYPE_BYTES[dtype]);
  if (!Number.isSafeInteger(bytes)) return fail(`has more than 2^53 bytes`);
  if (end - start !== bytes) {
    return fail(`has ${end - start} bytes; its shape [${shape.join(", ")}] of ${dtype} takes ${bytes}`);
  }
  if (!Number.isSafeInteger(dataStart + end)) return fail("lies beyond 2^53 bytes");
  return { name, dtype, shape, path, offset: dataStart + start, bytes };
}

function isDtype(text: string): text is DtypeName {
  return Object.hasOwn(DTYPE_BYTES, text);
}

function isLengths(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

async function readExactly(
  handle: FileHandle,
  path: string,
  position: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw invalidModel(path, "the file ends inside its header", CUT_OFF);
    done += bytesRead;
  }
  return bytes;
}
