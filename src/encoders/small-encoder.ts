import type { Gguf } from "../gguf/gguf.ts";

/** Under this, in bytes of float32, an encoder is so fast that choosing would take longer than it saves. */
const SMALL_ENCODER_BYTES = 32 * 2 ** 20;

/** Whether `auto` computes with float32 without looking at what is faster. */
export function isSmallEncoder(gguf: Gguf): boolean {
  let elements = 0;
  for (const { shape } of gguf.tensors.values())
    elements += shape.reduce((product, length) => product * length, 1);
  return elements * 4 < SMALL_ENCODER_BYTES;
}
