import { type MetadataValue, float32, uint32 } from "../../gguf/metadata.ts";
import { ropeScalingKeys } from "./rope-scaling.ts";
import type { TextConfig } from "./text-config.ts";

/**
 * Keys of a text model's header that tell its shape.
 * @param rows tokens: rows of the embedding
 */
export function textKeys(config: TextConfig, rows: number): [string, MetadataValue][] {
  const { architecture, slidingWindow, headLength } = config;
  const key = (name: string): string => `${architecture}.${name}`;
  return [
    [key("block_count"), uint32(config.blocks)],
    [key("context_length"), uint32(config.contextLength)],
    [key("embedding_length"), uint32(config.embedding)],
    [key("feed_forward_length"), uint32(config.feedForward)],
    [key("vocab_size"), uint32(rows)],
    [key("attention.head_count"), uint32(config.heads)],
    [key("attention.head_count_kv"), uint32(config.keyValueHeads)],
    [key("attention.key_length"), uint32(headLength)],
    [key("attention.value_length"), uint32(headLength)],
    [key("attention.layer_norm_rms_epsilon"), float32(config.normEpsilon)],
    ...(slidingWindow === undefined
      ? []
      : [[key("attention.sliding_window"), uint32(slidingWindow)] satisfies [string, MetadataValue]]),
    [key("rope.dimension_count"), uint32(headLength)],
    [key("rope.freq_base"), float32(config.ropeBase)],
    ...ropeScalingKeys(architecture, config.ropeScaling),
  ];
}
