import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import type { Weights } from "../native/weights.ts";
import { attend } from "./attention.ts";
import type { ClipConfig } from "./clip-config.ts";
import { embedPatches } from "./patch-embedding.ts";
import type { WeightList } from "./weight-list.ts";

/**
 * CLIP's vision transformer up to the rows that LLaVA projects: one per patch, in reading order.
 *
 * Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision"; tensors named as in
 * GGUF. Layer norms, class token and all biases are optional: what is in the file is used. The class token comes
 * first and has position 0; its row takes part in attention and is dropped at the end.
 *
 * @param images [imageSize, imageSize, 3, batch]
 * @returns [embeddingLength, patches, 1, batch]
 */
export function buildClipVit(
  graph: Graph,
  weights: Weights,
  config: ClipConfig,
  images: Tensor,
  positions: Tensor = weights.get("v.position_embd.weight"),
): Tensor {
  const classToken = weights.find("v.class_embd");
  const patchBias = weights.find("v.patch_embd.bias");
  let x = embedPatches(graph, images, weights.get("v.patch_embd.weight"));
  if (patchBias !== undefined) x = graph.add(x, patchBias);
  if (classToken !== undefined) x = addClassToken(graph, config, classToken, x);
  x = graph.add(x, positions);
  x = optionalNorm(graph, weights, config, "v.pre_ln", x);
  for (let index = 0; index < config.blocksToRun; index++) {
    x = buildBlock(graph, weights, config, `v.blk.${index}`, x);
  }
  if (config.postNorm) x = optionalNorm(graph, weights, config, "v.post_ln", x);
  // Where the class token is the last row, this drops the first patch and keeps the class token, as llama.cpp does.
  // Of several pictures, the rows that are left have gaps between them.
  return classToken === undefined ? x : graph.contiguous(graph.rows(x, 1, config.patches));
}

/** One more row for each picture, the same for all. */
function addClassToken(graph: Graph, config: ClipConfig, token: Tensor, x: Tensor): Tensor {
  const rows = graph.repeat(token, config.embeddingLength, 1, 1, x.shape[3]);
  return config.classToken === "first" ? graph.concatRows(rows, x) : graph.concatRows(x, rows);
}

/** A pre-norm transformer block: attention, then a feed-forward layer, each added to its input. */
function buildBlock(graph: Graph, weights: Weights, config: ClipConfig, block: string, x: Tensor): Tensor {
  const linear = (name: string, input: Tensor): Tensor =>
    graph.linear(input, weights.get(`${block}.${name}.weight`), weights.find(`${block}.${name}.bias`));
  const normed = optionalNorm(graph, weights, config, `${block}.ln1`, x);
  const [q, k, v] = projectHeads(graph, weights, config, block, normed);
  x = graph.add(x, linear("attn_out", attend(graph, q, k, v, config.heads)));

  const [up, down] = feedForwardNames(config);
  const hidden = linear(up, optionalNorm(graph, weights, config, `${block}.ln2`, x));
  return graph.add(x, linear(down, activate(graph, config, hidden)));
}

/** Queries, keys and values; some files hold their weights as one matrix, one below the other. */
function projectHeads(
  graph: Graph,
  weights: Weights,
  { embeddingLength }: ClipConfig,
  block: string,
  x: Tensor,
): [q: Tensor, k: Tensor, v: Tensor] {
  const fused = weights.find(`${block}.attn_qkv.weight`);
  const fusedBias = weights.find(`${block}.attn_qkv.bias`);
  const project = (name: string, third: number): Tensor => {
    if (fused === undefined) {
      return graph.linear(x, weights.get(`${block}.${name}.weight`), weights.find(`${block}.${name}.bias`));
    }
    const bias = fusedBias && graph.rows(graph.reshape(fusedBias, embeddingLength, 3), third, 1);
    return graph.linear(x, graph.rows(fused, third * embeddingLength, embeddingLength), bias);
  };
  return [project("attn_q", 0), project("attn_k", 1), project("attn_v", 2)];
}

function activate(graph: Graph, { activation }: ClipConfig, x: Tensor): Tensor {
  if (activation === "gelu") return graph.gelu(x);
  return activation === "silu" ? graph.silu(x) : graph.geluQuick(x);
}

/** A layer norm that is left out if the file has no weights for it. */
function optionalNorm(graph: Graph, weights: Weights, config: ClipConfig, name: string, x: Tensor): Tensor {
  const weight = weights.find(`${name}.weight`);
  return weight === undefined
    ? x
    : graph.layerNorm(x, config.layerNormEpsilon, weight, weights.find(`${name}.bias`));
}

/** Lists the tensors that `buildClipVit` computes with, in the shapes that the header promises. */
export function listClipVitWeights(list: WeightList, config: ClipConfig): void {
  const { embeddingLength, feedForwardLength, patchSize, patches } = config;
  const classToken = list.optionalVector("v.class_embd", [embeddingLength]);
  list.vector("v.patch_embd.weight", [patchSize, patchSize, 3, embeddingLength]);
  list.optionalVector("v.patch_embd.bias", [embeddingLength]);
  list.vector("v.position_embd.weight", [embeddingLength, patches + (classToken ? 1 : 0)]);
  list.norm("v.pre_ln", embeddingLength);
  const [up, down] = feedForwardNames(config);
  for (let index = 0; index < config.blocksToRun; index++) {
    const block = `v.blk.${index}`;
    list.norm(`${block}.ln1`, embeddingLength);
    if (list.has(`${block}.attn_qkv.weight`)) {
      list.linear(`${block}.attn_qkv`, embeddingLength, 3 * embeddingLength);
    } else {
      for (const name of ["attn_q", "attn_k", "attn_v"]) {
        list.linear(`${block}.${name}`, embeddingLength, embeddingLength);
      }
    }
    list.linear(`${block}.attn_out`, embeddingLength, embeddingLength);
    list.norm(`${block}.ln2`, embeddingLength);
    list.linear(`${block}.${up}`, embeddingLength, feedForwardLength);
    list.linear(`${block}.${down}`, feedForwardLength, embeddingLength);
  }
  if (config.postNorm) list.norm("v.post_ln", embeddingLength);
  else list.ignore("v.post_ln.");
  for (let index = config.blocksToRun; index < config.blockCount; index++) list.ignore(`v.blk.${index}.`);
}

function feedForwardNames(config: ClipConfig): [up: string, down: string] {
  return config.feedForwardNamesSwapped ? ["ffn_down", "ffn_up"] : ["ffn_up", "ffn_down"];
}
