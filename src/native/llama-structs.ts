import type { TypeObject } from "koffi";
import type { Koffi } from "./koffi.ts";

/** The by-value structs of llama.h at the pinned build; field order is the ABI. */
export interface StructTypes {
  modelParams: TypeObject;
  contextParams: TypeObject;
  batch: TypeObject;
  tokenDataArray: TypeObject;
}

export function declareStructTypes(koffi: Koffi): StructTypes {
  const pointer = "void *";
  return {
    modelParams: koffi.struct({
      devices: pointer,
      tensor_buft_overrides: pointer,
      n_gpu_layers: "int32",
      split_mode: "int32",
      load_mode: "int32",
      lazy_mode: "int32",
      main_gpu: "int32",
      tensor_split: pointer,
      progress_callback: pointer,
      progress_callback_user_data: pointer,
      kv_overrides: pointer,
      vocab_only: "bool",
      check_tensors: "bool",
      use_extra_bufts: "bool",
      no_host: "bool",
      no_alloc: "bool",
      load_mtp: "bool",
    }),
    contextParams: koffi.struct({
      n_ctx: "uint32",
      n_batch: "uint32",
      n_ubatch: "uint32",
      n_seq_max: "uint32",
      n_rs_seq: "uint32",
      n_outputs_max: "uint32",
      n_outputs_max_per_seq: "uint32",
      n_threads: "int32",
      n_threads_batch: "int32",
      ctx_type: "int32",
      rope_scaling_type: "int32",
      pooling_type: "int32",
      attention_type: "int32",
      flash_attn_type: "int32",
      rope_freq_base: "float",
      rope_freq_scale: "float",
      yarn_ext_factor: "float",
      yarn_attn_factor: "float",
      yarn_beta_fast: "float",
      yarn_beta_slow: "float",
      yarn_orig_ctx: "uint32",
      defrag_thold: "float",
      cb_eval: pointer,
      cb_eval_user_data: pointer,
      type_k: "int32",
      type_v: "int32",
      abort_callback: pointer,
      abort_callback_data: pointer,
      embeddings: "bool",
      offload_kqv: "bool",
      no_perf: "bool",
      op_offload: "bool",
      swa_full: "bool",
      kv_unified: "bool",
      samplers: pointer,
      n_samplers: "size_t",
      ctx_other: pointer,
    }),
    batch: koffi.struct({
      n_tokens: "int32",
      token: pointer,
      embd: pointer,
      pos: pointer,
      n_seq_id: pointer,
      seq_id: pointer,
      logits: pointer,
    }),
    tokenDataArray: koffi.struct({
      data: pointer,
      size: "size_t",
      selected: "int64",
      sorted: "bool",
    }),
  };
}
