import { type FileHandle, open } from "node:fs/promises";
import { invalidModel, quote } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { convertValues } from "./convert-values.ts";
import { countNonFinite } from "./finite-values.ts";
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
const CHUNK_BYTES = 2 * 1024 * 1024;
/** Rows of one head are turned as a whole. No model comes near. */
const MOST_HEAD_BYTES = 64 * 1024 * 1024;
/** One chunk is written while the next ones are read and converted. */
const SLOTS = 3;

interface Slot {
  source: Uint8Array;
  result: Uint8Array;
}

/** Memory that one tensor after the other is streamed through: new memory costs more than what is done in it. */
export class ChunkBuffers {
  readonly slots: readonly Slot[] = Array.from({ length: SLOTS }, () => ({
    source: new Uint8Array(0),
    result: new Uint8Array(0),
  }));
  turned: Uint8Array = new Uint8Array(0);

  /** @param bytes of the source, in a chunk */
  reserve(bytes: number): void {
    if (this.turned.length >= bytes) return;
    this.turned = new Uint8Array(bytes);
    for (const slot of this.slots) {
      slot.source = new Uint8Array(bytes);
      // The widest that a chunk can become is f32 from 16 bits.
      slot.result = new Uint8Array(bytes * 2);
    }
  }
}

/**
 * The bytes of a planned tensor, in chunks. A chunk is overwritten when the next one is asked for.
 *
 * @throws MullError `invalid_model` if the file has shrunk
 */
export async function* streamTensor(
  plan: PlannedTensor,
  counts: ValueCounts,
  buffers: ChunkBuffers,
): AsyncGenerator<Uint8Array> {
  if (plan.source instanceof Float32Array) {
    yield new Uint8Array(plan.source.buffer, plan.source.byteOffset, plan.source.byteLength);
    return;
  }
  const { source, type } = plan;
  const from = storedType(source);
  const head = headShape(plan, source);
  const step =
    head === undefined ? CHUNK_BYTES : head.bytes * Math.max(1, Math.floor(CHUNK_BYTES / head.bytes));
  buffers.reserve(step);
  const convert = (chunk: Uint8Array, into: Uint8Array): Uint8Array => {
    const ordered =
      head === undefined ? chunk : interleaveHeads(chunk, head, from === type ? into : buffers.turned);
    const { bytes, finite } = convertValues(ordered, from, into, type);
    if (!finite) {
      // Hardly any model has such a chunk; so counting may take its time.
      const nonFinite = countNonFinite(chunk, from);
      counts.nonFinite += nonFinite;
      // The block of an infinity is one, too, which is no overflow.
      if (type !== "q8_0") counts.overflowed += countNonFinite(bytes, type) - nonFinite;
      else if (nonFinite === 0) counts.overflowed += countNonFinite(bytes, type);
    }
    return bytes;
  };
  yield* streamChunks(source, step, buffers.slots, convert);
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

async function* streamChunks(
  source: StoredTensor,
  step: number,
  slots: readonly Slot[],
  convert: (chunk: Uint8Array, into: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  const handle = await open(source.path, "r").catch((cause: unknown) => {
    throw new MullError("model_not_found", `${source.path} cannot be opened any more.`, { cause });
  });
  const work = async (start: number): Promise<Uint8Array> => {
    const slot = slots[(start / step) % slots.length] as Slot;
    const chunk = slot.source.subarray(0, Math.min(step, source.bytes - start));
    await fill(handle, chunk, source, start);
    return convert(chunk, slot.result);
  };
  const pending: Promise<Uint8Array>[] = [];
  let start = 0;
  try {
    for (;;) {
      // All slots but the one that is being written.
      for (; pending.length < slots.length - 1 && start < source.bytes; start += step) {
        const next = work(start);
        // Its failure is met when its turn has come.
        next.catch(() => {});
        pending.push(next);
      }
      const chunk = await pending.shift();
      if (chunk === undefined) return;
      yield chunk;
    }
  } finally {
    await Promise.allSettled(pending);
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
