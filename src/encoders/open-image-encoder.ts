import type { Gguf } from "../gguf/gguf.ts";
import { visionProjectorType } from "../gguf/projector-types.ts";
import type { Backend } from "../native/backend.ts";
import type { LoadWeightsOptions, WeightType } from "../native/weights.ts";
import { MullError } from "../spec/errors.ts";
import type { Compatibility, EncoderPrecision } from "../spec/options.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { LlavaEncoder } from "./llava-encoder.ts";
import { openFastestPrecision } from "./precision.ts";

export interface OpenImageEncoderOptions extends LoadEncoderOptions {
  /** Default `auto`: the fastest that keeps a cosine of 0.998 to f32 in every row. */
  precision?: EncoderPrecision;
}

export interface LoadEncoderOptions extends LoadWeightsOptions {
  /** Reproduces what this program does where it deviates from the model's own code. Default: the model's own code. */
  compat?: Compatibility;
}

type LoadEncoder = (
  gguf: Gguf,
  backend: Backend,
  precision: WeightType,
  options: LoadEncoderOptions,
) => Promise<ImageEncoder>;

/** Families by the projector type in the header, as in `gguf/projector-types.ts`. Their code is loaded when it is needed. */
const FAMILIES: Readonly<Record<string, LoadEncoder>> = {
  mlp: async (gguf, backend, precision, options) =>
    LlavaEncoder.load(gguf, backend, "mlp", precision, options),
  linear: async (gguf, backend, precision, options) =>
    LlavaEncoder.load(gguf, backend, "linear", precision, options),
  ldp: async (gguf, backend, precision, options) =>
    LlavaEncoder.load(gguf, backend, "ldp", precision, options),
  ldpv2: async (gguf, backend, precision, options) =>
    LlavaEncoder.load(gguf, backend, "ldpv2", precision, options),
  qwen2vl_merger: async (...input) =>
    (await import("./qwen-encoder.ts")).openQwenEncoder("qwen2vl_merger", ...input),
  "qwen2.5vl_merger": async (...input) =>
    (await import("./qwen-encoder.ts")).openQwenEncoder("qwen2.5vl_merger", ...input),
  qwen3vl_merger: async (...input) =>
    (await import("./qwen-encoder.ts")).openQwenEncoder("qwen3vl_merger", ...input),
  gemma3: async (...input) => (await import("./gemma3-encoder.ts")).openGemma3Encoder(...input),
  idefics3: async (...input) => (await import("./idefics3-encoder.ts")).openIdefics3Encoder(...input),
  lfm2: async (...input) => (await import("./lfm2-encoder.ts")).openLfm2Encoder(...input),
  pixtral: async (...input) => (await import("./pixtral-encoder.ts")).PixtralEncoder.load(...input),
  internvl: async (...input) => (await import("./internvl-encoder.ts")).InternVlEncoder.load(...input),
  kimivl: async (...input) => (await import("./kimivl-encoder.ts")).KimiVlEncoder.load(...input),
};

/**
 * Opens the vision encoder and projector of a GGUF ("mmproj") file on a backend.
 *
 * @throws MullError `invalid_model` for a family that mull does not know, or tensors that do not fit the header;
 *   `out_of_memory`; `aborted`
 */
export async function openImageEncoder(
  gguf: Gguf,
  backend: Backend,
  { precision = "auto", ...options }: OpenImageEncoderOptions = {},
): Promise<ImageEncoder> {
  const load = findFamily(gguf);
  requireCompatible(gguf, options.compat);
  const open = async (type: WeightType): Promise<ImageEncoder> => load(gguf, backend, type, options);
  return precision === "auto" ? openFastestPrecision(gguf, backend, open) : open(precision);
}

/** Families that have a way of llama.cpp's beside their own. */
const IMITATED: readonly string[] = ["mlp", "linear", "ldp", "ldpv2"];

function requireCompatible(gguf: Gguf, compat: Compatibility | undefined): void {
  const type = visionProjectorType(gguf);
  if (compat === undefined || IMITATED.includes(type)) return;
  throw new MullError("invalid_argument", `compat "${compat}" is not for projectors of type ${type}.`, {
    hint: `It is for ${IMITATED.join(", ")}. Load the model without it.`,
  });
}

function findFamily(gguf: Gguf): LoadEncoder {
  const type = visionProjectorType(gguf);
  const load = Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
  if (load !== undefined) return load;
  throw new MullError("invalid_model", `${gguf.path} has a projector of type ${JSON.stringify(type)}.`, {
    hint: `mull runs projectors of type ${Object.keys(FAMILIES).join(", ")}.`,
    details: { projector: type },
  });
}
