import type { EmbedInput, Embeddings, EmbedOptions, StreamRequest } from "../spec/model.ts";

/**
 * The bodies of mull's own routes: the library's types, as JSON. A picture in them is a `data:` URL, base64 text, or
 * `sha256:` and the digest of an upload; never a path.
 */
export interface WireStreamRequest extends Omit<StreamRequest, "signal"> {
  model: string;
}

export interface WireVectorsRequest extends Omit<EmbedOptions, "signal"> {
  model: string;
  inputs: readonly EmbedInput[];
}

export interface WireVectors extends Omit<Embeddings, "vectors"> {
  /** Base64 of each vector: (dimensions) float32, little-endian. */
  vectors: readonly string[];
}

/** @returns base64 of (dimensions) float32, little-endian */
export function encodeVector(vector: Float32Array): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4); // (dimensions * 4) uint8
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString("base64");
}

/** @returns (dimensions) float32 */
export function decodeVector(text: string): Float32Array {
  const bytes = Buffer.from(text, "base64"); // (dimensions * 4) uint8
  return Float32Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) =>
    bytes.readFloatLE(index * 4),
  );
}
