import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import type { Weights } from "../native/weights.ts";
import { attend } from "./attention.ts";
import type { InternVlConfig } from "./internvl-config.ts";
import { embedPatches } from "./patch-embedding.ts";
import { pixelShuffle } from "./pixel-shuffle.ts";
import type { WeightList } from "./weight-list.ts";

/** PyTorch's default, which the projector's norm has. */
const PROJECTOR_EPSILON = 1e-5;

/**
 * InternVL's vision transformer and projector.
 *
 * Chen et al. 2023, "InternVL", arXiv 2312.14238; OpenGVLab/InternVL: modeling_intern_vit.py,
 * modeling_internvl_chat.py. Tensors are named as in GGUF. The class token comes first and has position 0.
 *
 * @param tiles [imageSize, imageSize, 3, tiles]
 * @returns [projectionLength, rowsPerTile, 1, tiles]
 */
export function buildInternVl(graph: Graph, weights: Weights, config: InternVlConfig, tiles: Tensor): Tensor {
  const { embeddingLength, patchesPerSide } = config;
  const patches = graph.add(
    embedPatches(graph, tiles, weights.get("v.patch_embd.weight")),
    weights.get("v.patch_embd.bias"),
  );
  const classToken = graph.repeat(weights.get("v.class_embd"), embeddingLength, 1, 1, tiles.shape[3]);
  let x = graph.add(graph.concatRows(classToken, patches), weights.get("v.position_embd.weight"));
  for (let index = 0; index < config.blockCount; index++) {
    x = buildBlock(graph, weights, config, `v.blk.${index}`, x);
  }
  x = graph.contiguous(graph.rows(x, 1, patchesPerSide ** 2));
  const square = { across: patchesPerSide, down: patchesPerSide, factor: config.merge };
  return project(graph, weights, pixelShuffle(graph, x, square));
}

/** A pre-norm transformer block; what attention and feed-forward layer add is scaled, column by column. */
function buildBlock(
  graph: Graph,
  weights: Weights,
  config: InternVlConfig,
  block: string,
  x: Tensor,
): Tensor {
  const linear = (name: string, of: Tensor): Tensor =>
    graph.linear(of, weights.get(`${block}.${name}.weight`), weights.find(`${block}.${name}.bias`));
  const scale = (name: string, of: Tensor): Tensor => graph.mul(of, weights.get(`${block}.${name}.weight`));
  const norm = (name: string): Tensor => {
    const weight = weights.get(`${block}.${name}.weight`);
    if (config.rmsNorm) return graph.rmsNorm(x, config.epsilon, weight);
    return graph.layerNorm(x, config.epsilon, weight, weights.get(`${block}.${name}.bias`));
  };
  /** Over all heads together. */
  const normHeads = (name: string, of: Tensor): Tensor => {
    const weight = weights.find(`${block}.${name}.weight`);
    return weight === undefined ? of : graph.rmsNorm(of, config.epsilon, weight);
  };
  let normed = norm("ln1");
  const q = normHeads("attn_q_norm", linear("attn_q", normed));
  const k = normHeads("attn_k_norm", linear("attn_k", normed));
  const attended = attend(graph, q, k, linear("attn_v", normed), config.heads);
  x = graph.add(x, scale("ls1", linear("attn_out", attended)));

  normed = norm("ln2");
  const up = linear("ffn_up", normed);
  const hidden = config.activation === "gelu" ? graph.geluErf(up) : graph.silu(up);
  return graph.add(x, scale("ls2", linear("ffn_down", hidden)));
}

function project(graph: Graph, weights: Weights, x: Tensor): Tensor {
  const get = (layer: number, kind: "weight" | "bias"): Tensor =>
    weights.get(`mm.model.mlp.${layer}.${kind}`);
  const normed = graph.layerNorm(x, PROJECTOR_EPSILON, get(0, "weight"), get(0, "bias"));
  const hidden = graph.geluErf(graph.linear(normed, get(1, "weight"), get(1, "bias")));
  return graph.linear(hidden, get(3, "weight"), get(3, "bias"));
}

/** Lists the tensors that `buildInternVl` computes with, in the shapes that the header promises. */
export function listInternVlWeights(list: WeightList, config: InternVlConfig): void {
  const { embeddingLength, feedForwardLength, patchSize, patchesPerSide, merge, projectionLength } = config;
  const vector = (name: string): void => list.vector(name, [embeddingLength]);
  const norm = (name: string): void => {
    vector(`${name}.weight`);
    if (!config.rmsNorm) vector(`${name}.bias`);
  };
  vector("v.class_embd");
  list.vector("v.patch_embd.weight", [patchSize, patchSize, 3, embeddingLength]);
  vector("v.patch_embd.bias");
  list.vector("v.position_embd.weight", [embeddingLength, patchesPerSide ** 2 + 1]);
  for (let index = 0; index < config.blockCount; index++) {
    const block = `v.blk.${index}`;
    norm(`${block}.ln1`);
    for (const name of ["attn_q", "attn_k", "attn_v", "attn_out"]) {
      list.linear(`${block}.${name}`, embeddingLength, embeddingLength);
    }
    list.optionalVector(`${block}.attn_q_norm.weight`, [embeddingLength]);
    list.optionalVector(`${block}.attn_k_norm.weight`, [embeddingLength]);
    vector(`${block}.ls1.weight`);
    norm(`${block}.ln2`);
    list.linear(`${block}.ffn_up`, embeddingLength, feedForwardLength);
    list.linear(`${block}.ffn_down`, feedForwardLength, embeddingLength);
    vector(`${block}.ls2.weight`);
  }
  const joined = merge ** 2 * embeddingLength;
  list.vector("mm.model.mlp.0.weight", [joined]);
  list.vector("mm.model.mlp.0.bias", [joined]);
  list.linear("mm.model.mlp.1", joined, projectionLength);
  list.linear("mm.model.mlp.3", projectionLength, projectionLength);
}
