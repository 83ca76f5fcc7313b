import { invalidModel } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { type JsonFile, shown, textOf } from "./json-file.ts";
import type { VisionConfig } from "./vision-config.ts";

/** How a LLaVA model gets from the vision tower to the text model. */
export interface LlavaConfig {
  projector: "linear" | "mlp";
  /** Which GELU stands between the two layers of an `mlp`. */
  gelu: "erf" | "tanh";
  /** Numbers of blocks whose output is used; mostly one. */
  featureLayers: readonly number[];
  /** LLaVA 1.6: sizes of a picture that is cut into tiles: width, height, width, height… */
  pinpoints: readonly number[] | undefined;
  /** LLaVA 1.6: how the tiles' rows are joined. */
  mergeType: string | undefined;
  /** LLaVA-repo: `pad`, `anyres`… */
  aspectRatio: string | undefined;
}

/** LLaVA's own repository, or transformers: they name the same things differently. */
export type LlavaFormat = "repository" | "transformers";

/** Classes of transformers by `model_type`. */
const TRANSFORMERS_CLASSES: Readonly<Record<string, string>> = {
  llava: "LlavaForConditionalGeneration",
  llava_next: "LlavaNextForConditionalGeneration",
};

/** What LlavaNextConfig has when the config does not say: (height, width). */
const DEFAULT_PINPOINTS = [
  [336, 672],
  [672, 336],
  [672, 672],
  [1008, 336],
  [336, 1008],
];

/**
 * Undefined for a model that has no pictures.
 * @throws MullError `invalid_model` for another family of models with pictures
 */
export function llavaFormatOf(config: JsonFile): LlavaFormat | undefined {
  const { values } = config;
  if ("mm_vision_tower" in values || "mm_hidden_size" in values) return "repository";
  if (!("vision_config" in values || "vision_feature_layer" in values || "text_config" in values))
    return undefined;
  const className = [values["architectures"]].flat()[0] ?? TRANSFORMERS_CLASSES[String(values["model_type"])];
  if (typeof className === "string" && Object.values(TRANSFORMERS_CLASSES).includes(className))
    return "transformers";
  throw new MullError("invalid_model", `${config.path} describes a model of class ${shown(className)}.`, {
    hint: "mull converts LLaVA 1.0 to 1.6 with CLIP, and text models Llama, Mistral and Qwen2.",
  });
}

function isNext({ values }: JsonFile): boolean {
  return (
    [values["architectures"]].flat()[0] === TRANSFORMERS_CLASSES["llava_next"] ||
    values["model_type"] === "llava_next"
  );
}

/**
 * @param layers how many linear layers the folder has
 * @throws MullError `invalid_model` for what neither mull nor llama.cpp can run
 */
export function readLlavaConfig(
  config: JsonFile,
  format: LlavaFormat,
  vision: VisionConfig,
  layers: readonly number[],
): LlavaConfig {
  const projector = projectorOf(config, layers);
  requirePatchFeatures(config);
  return {
    projector,
    gelu: geluOf(config),
    featureLayers: featureLayersOf(config, vision.blocks),
    pinpoints: pinpointsOf(config, format, vision.imageSize),
    mergeType: mergeTypeOf(config, format),
    aspectRatio: textOf(config, "image_aspect_ratio"),
  };
}

function projectorOf(config: JsonFile, layers: readonly number[]): LlavaConfig["projector"] {
  const type = textOf(config, "mm_projector_type");
  if (layers.join() === "0" && (type ?? "linear") === "linear") return "linear";
  if (layers.join() === "0,2" && (type ?? "mlp2x_gelu") === "mlp2x_gelu") return "mlp";
  const found = `${layers.length} layers${type === undefined ? "" : ` of type ${shown(type)}`}`;
  throw new MullError("invalid_model", `${config.path} has a projector of ${found}.`, {
    hint: "mull converts projectors of one linear layer, or of two with a GELU between them (mlp2x_gelu).",
  });
}

/** LLaVA's own code has PyTorch's exact GELU; transformers lets the config choose. */
function geluOf(config: JsonFile): LlavaConfig["gelu"] {
  const name = textOf(config, "projector_hidden_act") ?? "gelu";
  if (name === "gelu") return "erf";
  if (name === "gelu_new" || name === "gelu_pytorch_tanh") return "tanh";
  throw invalidModel(config.path, `its projector has the activation ${shown(name)}, not gelu`);
}

/** The class token's row is never shown to the text model. */
function requirePatchFeatures(config: JsonFile): void {
  const strategy =
    textOf(config, "mm_vision_select_feature") ?? textOf(config, "vision_feature_select_strategy");
  if (strategy === undefined || strategy === "patch" || strategy === "default") return;
  throw new MullError("invalid_model", `${config.path} selects the features ${shown(strategy)}.`, {
    hint: "mull runs models that are shown the rows of the patches, without the class token's.",
  });
}

/**
 * Both formats count as PyTorch does: 0 is what goes into the first block, -1 what comes out of the last. LLaVA takes
 * the output of the last block but one.
 */
function featureLayersOf(config: JsonFile, blocks: number): readonly number[] {
  const value = config.values["vision_feature_layer"] ?? config.values["mm_vision_select_layer"] ?? -2;
  const layers = [value].flat();
  const counts = layers.map((layer) => (Number(layer) < 0 ? blocks + 1 + Number(layer) : Number(layer)));
  const valid = counts.every((count, at) => Number.isInteger(layers[at]) && count >= 1 && count <= blocks);
  if (valid && counts.length > 0) return counts;
  throw invalidModel(config.path, `its feature layer is ${shown(value)}, of a tower of ${blocks} blocks`);
}

function mergeTypeOf(config: JsonFile, format: LlavaFormat): string | undefined {
  const given = textOf(config, "mm_patch_merge_type");
  // transformers has one way, and no key for it.
  return given ?? (format === "transformers" && isNext(config) ? "spatial_unpad" : undefined);
}

/** LLaVA's repository writes (width, height), transformers (height, width); GGUF has the former. */
function pinpointsOf(
  config: JsonFile,
  format: LlavaFormat,
  imageSize: number,
): readonly number[] | undefined {
  const value = config.values["image_grid_pinpoints"] ?? (isNext(config) ? DEFAULT_PINPOINTS : undefined);
  if (value === undefined) return undefined;
  // Models of LLaVA 1.5 that were saved by 1.6's code carry the key, and do not tile.
  const aspect = textOf(config, "image_aspect_ratio");
  if (format === "repository" && aspect !== undefined && !aspect.startsWith("anyres")) return undefined;
  const pairs = typeof value === "string" ? parsePinpoints(value, imageSize) : value;
  const isSize = (item: unknown): boolean =>
    Number.isInteger(item) && (item as number) > 0 && (item as number) < 2 ** 16;
  const valid =
    Array.isArray(pairs) &&
    pairs.length > 0 &&
    pairs.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isSize));
  if (!valid) throw invalidModel(config.path, `"image_grid_pinpoints" is ${shown(value)}`);
  const sizes = pairs as [number, number][];
  return sizes.flatMap(([first, second]) => (format === "transformers" ? [second, first] : [first, second]));
}

/** A list as text, or a range in tiles: "(1x1),...,(3x3)". */
function parsePinpoints(text: string, imageSize: number): unknown {
  const range = /^\((\d)x(\d)\),\s*\.\.\.,\s*\((\d)x(\d)\)$/.exec(text.trim());
  if (range === null) {
    try {
      return JSON.parse(text.replaceAll("(", "[").replaceAll(")", "]"));
    } catch {
      return undefined;
    }
  }
  const [firstX = 1, firstY = 1, lastX = 0, lastY = 0] = range.slice(1).map(Number);
  const pairs: [number, number][] = [];
  for (let x = firstX; x <= lastX; x++) {
    for (let y = firstY; y <= lastY; y++) pairs.push([x * imageSize, y * imageSize]);
  }
  return pairs;
}
