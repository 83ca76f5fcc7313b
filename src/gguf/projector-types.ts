import type { Gguf } from "./gguf.ts";

/** A family of encoders, by the projector type that its files name. */
export interface ProjectorType {
  /** Models that have it, for people. */
  family: string;
  takes: "image" | "audio";
}

/**
 * The projector types that mull runs: `clip.projector_type`, or `clip.vision.projector_type` and
 * `clip.audio.projector_type`. A family is a line here, and its loader in `encoders/open-image-encoder.ts`.
 */
export const PROJECTOR_TYPES: Readonly<Record<string, ProjectorType>> = {
  mlp: { family: "LLaVA 1.5 and 1.6, BakLLaVA, ShareGPT4V, LLaVA-Llama-3, Yi-VL", takes: "image" },
  linear: { family: "LLaVA 1.0", takes: "image" },
  ldp: { family: "MobileVLM", takes: "image" },
  ldpv2: { family: "MobileVLM V2", takes: "image" },
  qwen2vl_merger: { family: "Qwen2-VL", takes: "image" },
  "qwen2.5vl_merger": { family: "Qwen2.5-VL", takes: "image" },
  qwen3vl_merger: { family: "Qwen3-VL, Qwen3.5", takes: "image" },
  gemma3: { family: "Gemma 3", takes: "image" },
  idefics3: { family: "SmolVLM, SmolVLM2, Idefics3", takes: "image" },
  lfm2: { family: "LFM2-VL", takes: "image" },
  pixtral: { family: "Pixtral, Mistral Small 3.1 and later", takes: "image" },
  kimivl: { family: "Kimi-VL", takes: "image" },
  internvl: { family: "InternVL 2, 2.5, 3, 3.5", takes: "image" },
};

/** The type of a file's vision projector. Files with an encoder for sound, too, name one for each; the oldest name none. */
export function visionProjectorType(gguf: Gguf): string {
  return gguf.string("clip.vision.projector_type") ?? gguf.string("clip.projector_type") ?? "mlp";
}
