import { TENSOR_TYPES } from "../gguf/tensor-types.ts";
import { MullError } from "../spec/errors.ts";
import type { Ggml } from "./ggml.ts";
import type { Libraries } from "./libraries.ts";

/** ggml of llama.cpp v0.4.0. */
const GGML_VERSION = "0.23.0";
/** A tensor description and its list node: changes whenever `struct ggml_tensor` does. */
const TENSOR_OVERHEAD_BYTES = 368;
/** `struct ggml_init_params` on every 64-bit platform. */
const INIT_PARAMS_BYTES = 24;

/**
 * Compares what the loaded ggml says about itself with what the declarations in this folder assume, because a call
 * with another layout would not fail: it would overwrite memory.
 *
 * @throws MullError `engine_unavailable`
 */
export function checkGgmlLayout({ koffi }: Libraries, ggml: Ggml): void {
  expectSame("version", ggml.version(), GGML_VERSION);
  expectSame("size of a tensor", ggml.tensorOverhead(), TENSOR_OVERHEAD_BYTES);
  expectSame("size of ggml_init_params", koffi.sizeof(ggml.initParams), INIT_PARAMS_BYTES);
  for (const [name, type] of Object.entries(TENSOR_TYPES)) {
    expectSame(`name of type ${type.id}`, ggml.typeName(type.id)?.toLowerCase(), name.toLowerCase());
    expectSame(`block size of ${name}`, ggml.blockSize(type.id), type.blockSize);
    expectSame(`block bytes of ${name}`, ggml.typeSize(type.id), type.blockBytes);
  }
}

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (found === expected) return;
  throw new MullError(
    "engine_unavailable",
    `The ggml library found is not the one mull was built for: ${what} is ${String(found)}, not ${String(expected)}.`,
    { hint: "Reinstall mull's dependencies with `npm ci`: the engine works with one exact version of them." },
  );
}
