import { type MetadataValue, bool, float32, float32s, int32s, string, uint32 } from "../../gguf/metadata.ts";
import type { LlavaConfig } from "./llava-config.ts";
import type { PixelStatistics } from "./pixel-statistics.ts";
import type { VisionConfig } from "./vision-config.ts";

/**
 * Keys of a projector's ("mmproj") header.
 * @param textEmbedding width of the text model's rows
 */
export function projectorKeys(
  vision: VisionConfig,
  llava: LlavaConfig,
  statistics: PixelStatistics,
  textEmbedding: number,
): [string, MetadataValue][] {
  const { pinpoints, mergeType, aspectRatio, gelu } = llava;
  const keys: [string, MetadataValue | undefined][] = [
    ["clip.has_vision_encoder", bool(true)],
    // Programs of 2023 and 2024 ask for these two.
    ["clip.has_text_encoder", bool(false)],
    ["clip.has_llava_projector", bool(true)],
    ["clip.projector_type", string(llava.projector)],
    ["clip.use_gelu", bool(vision.activation === "gelu")],
    ["clip.vision.image_size", uint32(vision.imageSize)],
    ["clip.vision.patch_size", uint32(vision.patchSize)],
    ["clip.vision.embedding_length", uint32(vision.embedding)],
    ["clip.vision.feed_forward_length", uint32(vision.feedForward)],
    ["clip.vision.block_count", uint32(Math.max(...llava.featureLayers))],
    ["clip.vision.projection_dim", uint32(textEmbedding)],
    ["clip.vision.attention.head_count", uint32(vision.heads)],
    ["clip.vision.attention.layer_norm_epsilon", float32(vision.normEpsilon)],
    ["clip.vision.feature_layer", int32s(llava.featureLayers)],
    ["clip.vision.image_mean", float32s(statistics.mean)],
    ["clip.vision.image_std", float32s(statistics.deviation)],
    ["clip.vision.image_grid_pinpoints", pinpoints && int32s(pinpoints)],
    ["clip.vision.mm_patch_merge_type", mergeType === undefined ? undefined : string(mergeType)],
    ["clip.vision.image_aspect_ratio", aspectRatio === undefined ? undefined : string(aspectRatio)],
    ["mull.projector_gelu", gelu === "tanh" ? string("tanh") : undefined],
  ];
  return keys.filter((entry): entry is [string, MetadataValue] => entry[1] !== undefined);
}
