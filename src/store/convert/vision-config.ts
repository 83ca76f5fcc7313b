import { invalidModel, quote } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { type JsonFile, objectOf, positiveOf, shown, sizeOf, textOf } from "./json-file.ts";

/** What a config says about a CLIP vision transformer. */
export interface VisionConfig {
  imageSize: number;
  patchSize: number;
  embedding: number;
  feedForward: number;
  /** Of the whole tower, not only those that are used. */
  blocks: number;
  heads: number;
  projection: number;
  normEpsilon: number;
  activation: "quick_gelu" | "gelu";
}

/** CLIPVisionConfig of transformers: what absent keys mean. */
const DEFAULTS = {
  hidden_size: 768,
  intermediate_size: 3072,
  projection_dim: 512,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  image_size: 224,
  patch_size: 32,
};

/** The towers that LLaVA-repo folders name without describing them. */
const OPENAI_TOWERS: Readonly<Record<string, Partial<typeof DEFAULTS>>> = {
  "openai/clip-vit-large-patch14-336": large(336),
  "openai/clip-vit-large-patch14": large(224),
  "openai/clip-vit-base-patch16": { patch_size: 16 },
  "openai/clip-vit-base-patch32": {},
};

function large(imageSize: number): Partial<typeof DEFAULTS> {
  return {
    hidden_size: 1024,
    intermediate_size: 4096,
    projection_dim: 768,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    image_size: imageSize,
    patch_size: 14,
  };
}

/** transformers' default for a LLaVA config without a vision_config. */
export const DEFAULT_TOWER = "openai/clip-vit-large-patch14-336";

/** Undefined for a tower whose shape is not known by heart. */
export function knownVisionConfig(tower: string): VisionConfig | undefined {
  const values = Object.hasOwn(OPENAI_TOWERS, tower) ? OPENAI_TOWERS[tower] : undefined;
  return values && readVisionConfig({ path: tower, values });
}

/**
 * @param config a CLIPVisionConfig, or a CLIPConfig with one in it
 * @throws MullError `invalid_model` for a tower that is not CLIP
 */
export function readVisionConfig(config: JsonFile): VisionConfig {
  const vision = objectOf(config, "vision_config") ?? config;
  const type = textOf(vision, "model_type") ?? "clip_vision_model";
  if (type !== "clip_vision_model" && type !== "clip") {
    throw new MullError("invalid_model", `${config.path} has a vision tower of type ${quote(type)}.`, {
      hint: "mull converts LLaVA 1.0 to 1.6 models with a CLIP vision tower.",
    });
  }
  const size = (key: keyof typeof DEFAULTS): number => sizeOf(vision, key) ?? DEFAULTS[key];
  return {
    imageSize: size("image_size"),
    patchSize: size("patch_size"),
    embedding: size("hidden_size"),
    feedForward: size("intermediate_size"),
    blocks: size("num_hidden_layers"),
    heads: size("num_attention_heads"),
    projection: size("projection_dim"),
    normEpsilon: positiveOf(vision, "layer_norm_eps") ?? 1e-5,
    activation: activationOf(vision),
  };
}

function activationOf(vision: JsonFile): VisionConfig["activation"] {
  const name = textOf(vision, "hidden_act") ?? "quick_gelu";
  if (name === "quick_gelu") return name;
  // GGUF has one flag for both: the tanh approximation differs from the exact GELU by at most 0.0005.
  if (["gelu", "gelu_new", "gelu_pytorch_tanh"].includes(name)) return "gelu";
  throw invalidModel(
    vision.path,
    `its vision tower has the activation ${shown(name)}, not quick_gelu or gelu`,
  );
}
