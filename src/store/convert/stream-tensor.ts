import { type FileHandle, open } from "node:fs/promises";
import { invalidModel, quote } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { type FloatType, convertValues } from "./convert-values.ts";
import { countNonFinite } from "./count-non-finite.ts";
import { countInfiniteBlocks } from "./pack-q8-blocks.ts";
import { type PlannedTensor, storedType } from "./planned-tensor.ts";
import type { StoredTensor } from "./safetensors.ts";

/** What became of a tensor's values. */
export interface ValueCounts {
  /** Infinities and NaNs in the source. */
  nonFinite: number;
  /** Values that the new type cannot hold. */
  overflowed: number;
}

/** Source bytes that are worked on at a time: a whole number of values, and of blocks of 32 of them. */
const CHUNK_BYTES = 4 * 1024 * 1024;
/** Rows of one head are turned as a whole. No model comes near. */
const MOST_HEAD_BYTES = 128 * 1024 * 1024;

/**
 * The bytes of a planned tensor, in chunks. A chunk is overwritten when the next one is asked for; the one after it is
 * read meanwhile.
 *
 * @throws MullError `invalid_model` if the file has shrunk
 */
export async function* streamTensor(plan: PlannedTensor, counts: ValueCounts): AsyncGenerator<Uint8Array> {
  if (plan.source instanceof Float32Array) {
    yield new Uint8Array(plan.source.buffer, plan.source.byteOffset, plan.source.byteLength);
    return;
  }
  const { source, type } = plan;
  const from = storedType(source);
  const head = headShape(plan, source);
  const step =
    head === undefined ? CHUNK_BYTES : head.bytes * Math.max(1, Math.floor(CHUNK_BYTES / head.bytes));
  const length = Math.min(step, source.bytes);
  const turned = head === undefined ? undefined : new Uint8Array(length);
  // The widest that a chunk can become is f32 from 16 bits.
  const converted = from === type ? new Uint8Array(0) : new Uint8Array(length * 2);
  for await (const chunk of readChunks(source, step)) {
    const ordered = head === undefined ? chunk : interleaveHeads(chunk, head, turned as Uint8Array);
    const result = convertValues(ordered, from, converted, type);
    const nonFinite = countNonFinite(chunk, from);
    counts.nonFinite += nonFinite;
    if (from !== type) counts.overflowed += countOverflow(result, type, nonFinite);
    yield result;
  }
}

function countOverflow(result: Uint8Array, type: PlannedTensor["type"], nonFinite: number): number {
  // A block that holds an infinity already is no overflow, nor are its neighbours.
  if (type === "q8_0") return nonFinite > 0 ? 0 : countInfiniteBlocks(result);
  return countNonFinite(result, type satisfies FloatType) - nonFinite;
}

/** Rows of one head: `half` pairs of rows of `rowBytes`. */
interface HeadShape {
  half: number;
  rowBytes: number;
  bytes: number;
}

function headShape({ interleavedHeads }: PlannedTensor, source: StoredTensor): HeadShape | undefined {
  if (interleavedHeads === undefined) return undefined;
  const [rows = 1] = source.shape;
  const bytes = source.bytes / interleavedHeads;
  if (bytes > MOST_HEAD_BYTES) {
    throw invalidModel(source.path, `a head of tensor ${quote(source.name)} has ${bytes} bytes`);
  }
  return { half: rows / interleavedHeads / 2, rowBytes: source.bytes / rows, bytes };
}

/** Row i and row i + half of each head become rows 2i and 2i + 1. */
function interleaveHeads(
  rows: Uint8Array, // (heads, 2, half, rowBytes) uint8
  { half, rowBytes, bytes }: HeadShape,
  out: Uint8Array, // (heads, half, 2, rowBytes) uint8
): Uint8Array {
  for (let head = 0; head < rows.length; head += bytes) {
    for (let row = 0; row < half; row++) {
      const first = head + row * rowBytes;
      const second = first + half * rowBytes;
      out.set(rows.subarray(first, first + rowBytes), head + 2 * row * rowBytes);
      out.set(rows.subarray(second, second + rowBytes), head + (2 * row + 1) * rowBytes);
    }
  }
  return out.subarray(0, rows.length);
}

/** Two buffers take turns: while one is worked on and written, the other one is filled. */
async function* readChunks(source: StoredTensor, step: number): AsyncGenerator<Uint8Array> {
  const handle = await open(source.path, "r").catch((cause: unknown) => {
    throw new MullError("model_not_found", `${source.path} cannot be opened any more.`, { cause });
  });
  const buffers = [0, 1].map(() => new Uint8Array(Math.min(step, source.bytes)));
  const read = async (start: number): Promise<Uint8Array> => {
    const buffer = buffers[(start / step) % 2] as Uint8Array;
    const part = buffer.subarray(0, Math.min(step, source.bytes - start));
    await fill(handle, part, source, start);
    return part;
  };
  let next: Promise<Uint8Array> | undefined = read(0);
  try {
    for (let start = 0; start < source.bytes; start += step) {
      const chunk = await (next as Promise<Uint8Array>);
      next = start + step < source.bytes ? read(start + step) : undefined;
      // Its failure is met when its turn has come.
      next?.catch(() => {});
      yield chunk;
    }
  } finally {
    await next?.catch(() => {});
    await handle.close();
  }
}

async function fill(
  handle: FileHandle,
  into: Uint8Array,
  source: StoredTensor,
  start: number,
): Promise<void> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await handle.read(into, done, into.length - done, source.offset + start + done);
    if (bytesRead === 0) throw invalidModel(source.path, `the file ends inside tensor ${quote(source.name)}`);
    done += bytesRead;
  }
}
