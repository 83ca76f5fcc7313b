import { type PackedTypeName, quantize } from "../src/gguf/quantize.ts";
import { TENSOR_TYPES, tensorBytes } from "../src/gguf/tensor-types.ts";
import type { TensorSource } from "../src/gguf/write.ts";
import { toFloat16Bits } from "../src/gguf/float16.ts";

/** Elements that are made at a time: large tensors stream through a few hundred kilobytes. */
const CHUNK_ELEMENTS = 2 ** 16;

/** Deterministic random 32-bit integers: xorshift128 (Marsaglia, "Xorshift RNGs", 2003). */
export class RandomSource {
  // (4) uint32, never all zero
  readonly #state: Uint32Array = new Uint32Array(4);

  constructor(seed: number) {
    // Neighbouring seeds must not give related streams: each word is a counter through MurmurHash3's finalizer.
    for (let index = 0; index < 4; index++) {
      let word = Math.imul(seed * 4 + index + 1, 0x9e37_79b9);
      word = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b);
      word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35);
      this.#state[index] = word ^ (word >>> 16);
    }
  }

  writeInto(words: Uint32Array): void {
    let [x = 0, y = 0, z = 0, w = 0] = this.#state;
    for (let index = 0; index < words.length; index++) {
      const t = x ^ (x << 11);
      x = y;
      y = z;
      z = w;
      w = w ^ (w >>> 19) ^ t ^ (t >>> 8);
      words[index] = w;
    }
    this.#state.set([x, y, z, w]);
  }
}

export interface RandomTensor {
  name: string;
  type: PackedTypeName;
  shape: readonly number[];
  /** Standard deviation. Keep 1 / sqrt(row length) for weights, so that activations keep their size. */
  deviation: number;
  /** Default 0. f32 only. */
  mean?: number;
  seed: number;
}

/** A tensor of uniformly distributed values, made while it is written. The same arguments give the same bytes. */
export function randomTensor(options: RandomTensor): TensorSource {
  const { name, type, shape } = options;
  return { name, type, shape, data: () => randomBytes(options) };
}

function* randomBytes(options: RandomTensor): Generator<Uint8Array> {
  const { type, shape, deviation, seed } = options;
  const random = new RandomSource(seed);
  const { blockSize, blockBytes } = TENSOR_TYPES[type];
  const elements = (tensorBytes(type, shape) / blockBytes) * blockSize;
  for (let done = 0; done < elements; done += CHUNK_ELEMENTS) {
    const count = Math.min(CHUNK_ELEMENTS, elements - done);
    if (type === "q4_0" || type === "q8_0") yield randomBlocks(random, type, count, deviation);
    else yield quantize(type, randomValues(random, count, deviation, options.mean ?? 0));
  }
}

function randomValues(random: RandomSource, count: number, deviation: number, mean: number): Float32Array {
  const words = new Uint32Array(count);
  random.writeInto(words);
  // A uniform distribution over a width of w has the deviation w / sqrt(12).
  const width = deviation * Math.sqrt(12);
  const values = new Float32Array(count);
  for (let index = 0; index < count; index++) {
    values[index] = mean + width * ((words[index] ?? 0) / 2 ** 32 - 0.5);
  }
  return values;
}

/**
 * Random bits are already uniform quantised values, so blocks are made at the speed of the generator. Both
 * formats reach one step further down than up; scales of random sign keep the mean at zero all the same.
 */
function randomBlocks(
  random: RandomSource,
  type: "q4_0" | "q8_0",
  count: number,
  deviation: number,
): Uint8Array {
  const { blockSize, blockBytes } = TENSOR_TYPES[type];
  const blocks = count / blockSize;
  const words = new Uint32Array(Math.ceil((blocks * blockBytes) / 4));
  random.writeInto(words);
  const bytes = new Uint8Array(words.buffer, 0, blocks * blockBytes);
  const steps = type === "q4_0" ? 16 : 256;
  const scale = toFloat16Bits((deviation * Math.sqrt(12)) / steps);
  for (let offset = 0; offset < bytes.length; offset += blockBytes) {
    bytes[offset] = scale & 0xff;
    bytes[offset + 1] = (scale >>> 8) | ((bytes[offset + 1] ?? 0) & 0x80);
  }
  return bytes;
}
