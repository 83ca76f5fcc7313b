import { MullError } from "../spec/errors.ts";
import type { Llama } from "./llama.ts";

/**
 * Fields whose defaults are known and that sit before, between and after everything that could have moved.
 * A library of another version shifts at least one of them.
 */
const KNOWN_DEFAULTS: { modelParams: Record<string, unknown>; contextParams: Record<string, unknown> } = {
  modelParams: { n_gpu_layers: -1, split_mode: 1, main_gpu: 0, vocab_only: false, use_extra_bufts: true },
  contextParams: {
    n_ctx: 512,
    n_batch: 2048,
    n_ubatch: 512,
    n_seq_max: 1,
    rope_scaling_type: -1,
    pooling_type: -1,
    yarn_ext_factor: -1,
    type_k: 1,
    type_v: 1,
    offload_kqv: true,
    no_perf: true,
    n_samplers: 0,
  },
};

/**
 * The layout self-check: struct defaults must come back as the values the pinned build documents.
 * @throws MullError `engine_unavailable` when the library found is of another version.
 */
export function checkLlamaLayout(llama: Llama): void {
  const found = { modelParams: llama.modelDefaultParams(), contextParams: llama.contextDefaultParams() };
  for (const [struct, defaults] of Object.entries(KNOWN_DEFAULTS)) {
    expectLayout(struct, found[struct as keyof typeof found] as unknown as Record<string, unknown>, defaults);
  }
}

/** @throws MullError `engine_unavailable` that names the first field with another value */
export function expectLayout(
  struct: string,
  found: Readonly<Record<string, unknown>>,
  defaults: Readonly<Record<string, unknown>>,
): void {
  for (const [field, expected] of Object.entries(defaults)) {
    const value = found[field];
    const same = typeof value === "bigint" ? Number(value) === expected : value === expected;
    if (same) continue;
    throw new MullError(
      "engine_unavailable",
      `The llama library found has another memory layout: ${struct}.${field} is ${String(value)}, not ${String(expected)}.`,
      {
        hint: "Reinstall mull's dependencies with `npm ci`: the engine works with one exact version of them.",
      },
    );
  }
}
