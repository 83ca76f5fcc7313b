import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toBfloat16Bits, toFloat16Bits, fromBfloat16Bits, fromFloat16Bits } from "../../src/gguf/float16.ts";

export type FloatDtype = "F32" | "F16" | "BF16";

/** Weights as PyTorch has them: the last length varies fastest. */
export interface Weights {
  shape: readonly number[];
  values: Float32Array;
}

export interface RawTensor {
  dtype: string;
  shape: readonly number[];
  data: Uint8Array;
}

export function encodeWeights({ shape, values }: Weights, dtype: FloatDtype): RawTensor {
  if (dtype === "F32") return { dtype, shape, data: new Uint8Array(values.slice().buffer) };
  const bits = dtype === "F16" ? toFloat16Bits : toBfloat16Bits;
  return { dtype, shape, data: new Uint8Array(Uint16Array.from(values, bits).buffer) };
}

/** The values that a type can hold, nearest to the given ones. */
export function roundTo(values: Float32Array, dtype: FloatDtype): Float32Array {
  if (dtype === "F32") return values;
  return dtype === "F16"
    ? values.map((value) => fromFloat16Bits(toFloat16Bits(value)))
    : values.map((value) => fromBfloat16Bits(toBfloat16Bits(value)));
}

/** A safetensors file as bytes, in the order given. */
export function encodeSafetensors(tensors: Readonly<Record<string, RawTensor>>): Buffer {
  let offset = 0;
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] };
    offset += data.length;
  }
  return frame(JSON.stringify(header), Buffer.concat(Object.values(tensors).map(({ data }) => data)));
}

/** Any header in front of any data. */
export function frame(header: string, data: Uint8Array): Buffer {
  // Padded by spaces to whole words, as the library does it.
  const text = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

/** One file, or shards with an index, in turn. */
export async function writeCheckpoint(
  folder: string,
  tensors: Readonly<Record<string, RawTensor>>,
  shards = 1,
): Promise<void> {
  if (shards === 1) {
    await writeFile(join(folder, "model.safetensors"), encodeSafetensors(tensors));
    return;
  }
  const map: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const own = Object.entries(tensors).filter((_, index) => index % shards === shard);
    const name = `model-${String(shard + 1).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}.safetensors`;
    for (const [tensor] of own) map[tensor] = name;
    await writeFile(join(folder, name), encodeSafetensors(Object.fromEntries(own)));
  }
  await writeFile(
    join(folder, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: map }),
  );
}
