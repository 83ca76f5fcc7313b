import type { Gguf } from "./gguf.ts";
import { PROJECTOR_TYPES, visionProjectorType } from "./projector-types.ts";
import { invalidModel, quote } from "./invalid-model.ts";
import { checkShape, optionalInteger, requireInteger, requirePositive } from "./key-checks.ts";

const MAX_BLOCKS = 512;
const MAX_WIDTH = 2 ** 17;
const MAX_IMAGE_SIZE = 8192;
const MAX_PATCHES_PER_SIDE = 1024;
const SUPPORTED_HINT = `mull runs projectors of these types: ${Object.entries(PROJECTOR_TYPES)
  .map(([type, { family }]) => `${type} (${family})`)
  .join(", ")}.`;

/** Families whose every tensor is checked here; those of all others are checked by their loader, in the engine process. */
const LLAVA_TYPES: readonly string[] = ["mlp", "linear"];

/**
 * Checks that a GGUF is a vision encoder with a projector of a family that mull runs, and that its numbers are in
 * range; of LLaVA's, also that every tensor the encoder reads is there with the right shape. Files from 2023, which say
 * `clip.has_llava_projector` and no `clip.projector_type`, are accepted.
 *
 * @throws MullError `invalid_model` that names the key or tensor
 */
export function validateProjector(gguf: Gguf): void {
  checkKind(gguf);
  const embedding = requireInteger(gguf, "clip.vision.embedding_length", 1, MAX_WIDTH);
  // Old files of Qwen2-VL have 0 here; its loader asks the tensors.
  const leastWidth = visionProjectorType(gguf) === "qwen2vl_merger" ? 0 : 1;
  const feedForward = requireInteger(gguf, "clip.vision.feed_forward_length", leastWidth, MAX_WIDTH);
  const blocks = requireInteger(gguf, "clip.vision.block_count", 1, MAX_BLOCKS);
  const heads = requireInteger(gguf, "clip.vision.attention.head_count", 1, MAX_WIDTH);
  optionalInteger(gguf, "clip.vision.projection_dim", 0, MAX_WIDTH);
  requirePositive(gguf, "clip.vision.attention.layer_norm_epsilon");
  checkStatistics(gguf);
  if (!LLAVA_TYPES.includes(visionProjectorType(gguf))) {
    requireInteger(gguf, "clip.vision.image_size", 1, MAX_IMAGE_SIZE);
    requireInteger(gguf, "clip.vision.patch_size", 1, MAX_IMAGE_SIZE);
    return;
  }
  if (embedding % heads !== 0) {
    throw invalidModel(gguf.path, `${heads} attention heads do not divide the embedding length ${embedding}`);
  }
  checkActivation(gguf);
  checkPatches(gguf, embedding);
  for (const name of ["v.pre_ln", "v.post_ln"]) {
    if (gguf.tensors.has(`${name}.weight`)) checkNorm(gguf, name, embedding);
  }
  for (let block = 0; block < blocks; block++) checkBlock(gguf, `v.blk.${block}`, embedding, feedForward);
  checkProjection(gguf, embedding * featureLayers(gguf, blocks));
}

function checkKind(gguf: Gguf): void {
  const sees = gguf.boolean("clip.has_vision_encoder") ?? false;
  const hears = gguf.boolean("clip.has_audio_encoder") ?? false;
  if (!sees && hears)
    throw invalidModel(gguf.path, "this projector takes sound, not pictures", SUPPORTED_HINT);
  if (!sees && gguf.string("general.architecture") !== "clip") {
    throw invalidModel(
      gguf.path,
      "this is not a projector (a vision encoder)",
      "Pass a text model as --model-file, and the mmproj file that belongs to it as --projector.",
    );
  }
  if (!sees)
    throw invalidModel(gguf.path, `"clip.has_vision_encoder" is not true: the file has no vision encoder`);
  const type = gguf.string("clip.vision.projector_type") ?? gguf.string("clip.projector_type");
  const legacy = gguf.boolean("clip.has_llava_projector") === true || gguf.tensors.has("mm.0.weight");
  if (type === undefined && !legacy) gguf.requireString("clip.projector_type");
  if (type !== undefined && PROJECTOR_TYPES[type]?.takes !== "image") {
    throw invalidModel(gguf.path, `projectors of type ${quote(type)} are not supported`, SUPPORTED_HINT);
  }
}

function checkActivation(gguf: Gguf): void {
  gguf.boolean("clip.use_gelu");
  if (gguf.boolean("clip.use_silu") === true) {
    throw invalidModel(
      gguf.path,
      `"clip.use_silu" is true; CLIP encoders use gelu or quick_gelu`,
      SUPPORTED_HINT,
    );
  }
}

/** Mean and deviation of the colour channels, with which pixels are normalised. */
function checkStatistics(gguf: Gguf): void {
  for (const key of ["clip.vision.image_mean", "clip.vision.image_std"]) {
    const values = gguf.requireNumbers(key);
    const valid = values.length === 3 && values.every((value: number) => Number.isFinite(value));
    if (!valid || (key.endsWith("std") && values.some((value: number) => value < 1e-6))) {
      throw invalidModel(
        gguf.path,
        `${quote(key)} is [${values.slice(0, 8).join(", ")}] instead of one number per colour`,
      );
    }
  }
}

function checkPatches(gguf: Gguf, embedding: number): void {
  const imageSize = requireInteger(gguf, "clip.vision.image_size", 1, MAX_IMAGE_SIZE);
  const patchSize = requireInteger(gguf, "clip.vision.patch_size", 1, MAX_IMAGE_SIZE);
  const side = imageSize / patchSize;
  if (!Number.isInteger(side) || side > MAX_PATCHES_PER_SIDE) {
    const wanted = `a whole number of patches per side, at most ${MAX_PATCHES_PER_SIDE}`;
    throw invalidModel(
      gguf.path,
      `an image size of ${imageSize} and a patch size of ${patchSize} do not give ${wanted}`,
    );
  }
  checkShape(
    gguf,
    "v.patch_embd.weight",
    [patchSize, patchSize, 3, embedding],
    `patches of ${patchSize} pixels`,
  );
  const hasClass = gguf.tensors.has("v.class_embd");
  if (hasClass) checkShape(gguf, "v.class_embd", [embedding], `embedding length ${embedding}`);
  const positions = side ** 2 + (hasClass ? 1 : 0);
  const reason = `${side} x ${side} patches ${hasClass ? "and" : "without"} a class token`;
  checkShape(gguf, "v.position_embd.weight", [embedding, positions], reason);
}

function checkBlock(gguf: Gguf, prefix: string, embedding: number, feedForward: number): void {
  checkNorm(gguf, `${prefix}.ln1`, embedding);
  for (const name of ["attn_q", "attn_k", "attn_v", "attn_out"]) {
    checkLinear(gguf, `${prefix}.${name}`, embedding, embedding);
  }
  checkNorm(gguf, `${prefix}.ln2`, embedding);
  // LLaVA's own converter exchanged the two names; the row length tells.
  const swapped = gguf.requireTensor(`${prefix}.ffn_down.weight`).shape[0] === embedding;
  checkLinear(gguf, `${prefix}.${swapped ? "ffn_down" : "ffn_up"}`, embedding, feedForward);
  checkLinear(gguf, `${prefix}.${swapped ? "ffn_up" : "ffn_down"}`, feedForward, embedding);
}

/** Number of feature layers, whose outputs lie side by side in one row. */
function featureLayers(gguf: Gguf, blocks: number): number {
  const layers = gguf.numbers("clip.vision.feature_layer");
  if (layers === undefined) return 1;
  const valid = layers.every((layer: number) => Number.isInteger(layer) && layer >= 0 && layer <= blocks);
  if (valid && layers.length > 0 && layers.length <= blocks + 1) return layers.length;
  throw invalidModel(gguf.path, `"clip.vision.feature_layer" must hold whole numbers from 0 to ${blocks}`);
}

function checkProjection(gguf: Gguf, features: number): void {
  const width = checkLinear(gguf, "mm.0", features, undefined);
  // Yi-VL's projector goes by the name of mlp, too, but has a norm behind each of its layers.
  if (gguf.tensors.has("mm.3.weight")) {
    checkNorm(gguf, "mm.1", width);
    checkNorm(gguf, "mm.4", checkLinear(gguf, "mm.3", width, undefined));
  } else if (gguf.tensors.has("mm.2.weight")) checkLinear(gguf, "mm.2", width, undefined);
  else if (gguf.string("clip.projector_type") === "mlp") gguf.requireTensor("mm.2.weight");
}

function checkNorm(gguf: Gguf, name: string, width: number): void {
  checkShape(gguf, `${name}.weight`, [width], `embedding length ${width}`);
  if (gguf.tensors.has(`${name}.bias`))
    checkShape(gguf, `${name}.bias`, [width], `embedding length ${width}`);
}

/** @returns the number of outputs */
function checkLinear(gguf: Gguf, name: string, inputs: number, outputs: number | undefined): number {
  const reason = `it takes rows of ${inputs}`;
  checkShape(gguf, `${name}.weight`, [inputs, outputs], reason);
  const width = gguf.requireTensor(`${name}.weight`).shape[1] ?? 0;
  if (gguf.tensors.has(`${name}.bias`))
    checkShape(gguf, `${name}.bias`, [width], `${name} gives rows of ${width}`);
  return width;
}
