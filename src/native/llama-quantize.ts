import type { Libraries } from "./libraries.ts";
import { expectLayout } from "./llama-layout.ts";

/** The fields of `llama_model_quantize_params` that mull sets; the rest keeps its default. */
export interface LlamaQuantizeParams {
  nthread: number;
  /** `enum llama_ftype` */
  ftype: number;
  allow_requantize: boolean;
  /** Bytes of a tensor that are held in memory at once. */
  max_buf_size: number;
}

/** What `llama_model_quantize_default_params` of the pinned build gives; 43 is GGML_TYPE_COUNT, "not set". */
const KNOWN_DEFAULTS = {
  nthread: 0,
  ftype: 7,
  output_tensor_type: 43,
  token_embedding_type: 43,
  allow_requantize: false,
  quantize_output_tensor: true,
  only_copy: false,
  pure: false,
  keep_split: false,
  dry_run: false,
  imatrix: null,
  kv_overrides: null,
  tt_overrides: null,
  prune_layers: null,
  max_buf_size: 8 * 2 ** 30,
};

/**
 * Declares llama.cpp's quantiser, after looking that its struct is laid out as expected.
 *
 * @returns a function that runs on libuv's pool and resolves with 0, or 1 after a reason was written to the log
 * @throws MullError `engine_unavailable` when the library found is of another version
 */
export function declareLlamaQuantize({
  koffi,
  llama,
}: Libraries): (input: string, output: string, params: LlamaQuantizeParams) => Promise<number> {
  const pointer = "void *";
  const paramsType = koffi.struct({
    nthread: "int32",
    ftype: "int32",
    output_tensor_type: "int32",
    token_embedding_type: "int32",
    allow_requantize: "bool",
    quantize_output_tensor: "bool",
    only_copy: "bool",
    pure: "bool",
    keep_split: "bool",
    dry_run: "bool",
    imatrix: pointer,
    kv_overrides: pointer,
    tt_overrides: pointer,
    prune_layers: pointer,
    max_buf_size: "size_t",
  });
  const defaults = llama.func("llama_model_quantize_default_params", paramsType, [])() as Record<
    string,
    unknown
  >;
  expectLayout("quantizeParams", defaults, KNOWN_DEFAULTS);
  const quantize = llama.func("llama_model_quantize", "uint32", ["str", "str", koffi.pointer(paramsType)]);
  return (input, output, params) =>
    new Promise((resolve, reject) => {
      quantize.async(input, output, { ...defaults, ...params }, (error: Error | null, code: number) =>
        error === null ? resolve(code) : reject(error),
      );
    });
}
