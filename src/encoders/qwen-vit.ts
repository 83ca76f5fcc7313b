import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import type { Weights } from "../native/weights.ts";
import { attend, splitHeads } from "./attention.ts";
import type { PositionCorners } from "./position-corners.ts";
import type { PatchOrder } from "./patch-order.ts";
import type { QwenConfig } from "./qwen-config.ts";
import type { WeightList } from "./weight-list.ts";

/** What Qwen's vision transformer reads of one picture. */
export interface QwenInput {
  /** [3 * patchSize * patchSize, patches], in the order of `order` */
  patches: Tensor;
  order: PatchOrder;
  /** Coordinates for `turn`: int32 [4 * patches] */
  positions: Tensor;
  /** Where to find the position embeddings of each patch, of models that learned some. */
  corners: PositionCorners | undefined;
}

/** Of the rotary position embedding. */
const ROPE_BASE = 10_000;

/**
 * Qwen's vision transformer and the layers that join squares of patches into rows of the text model.
 *
 * Wang et al. 2024, "Qwen2-VL", arXiv 2409.12191; Bai et al. 2025, "Qwen2.5-VL", arXiv 2502.13923 (windows); transformers:
 * modeling_qwen2_vl.py, modeling_qwen2_5_vl.py, modeling_qwen3_vl.py. Tensors are named as in GGUF.
 *
 * @returns [projectionLength * (1 + deepstack blocks), patches / merge²]
 */
export function buildQwenVit(graph: Graph, weights: Weights, config: QwenConfig, input: QwenInput): Tensor {
  const bias = weights.find("v.patch_embd.bias");
  let x = embedStill(graph, weights, input.patches);
  if (bias !== undefined) x = graph.add(x, bias);
  if (input.corners !== undefined) x = addPositions(graph, weights, x, input.corners);
  const deepstack: Tensor[] = [];
  for (let index = 0; index < config.blockCount; index++) {
    x = buildBlock(graph, weights, config, index, x, input);
    if (config.deepstackBlocks.includes(index)) deepstack.push(mergeDeep(graph, weights, config, index, x));
  }
  const merged = joinSquares(graph, config, norm(graph, weights, config, "v.post_ln", x));
  const rows = project(graph, weights, "mm.0", "mm.2", merged);
  return deepstack.reduce((all, further) => graph.concat(all, further, 0), rows);
}

/** The kernels of the two frames of a moment see the same still picture, so that one kernel, their sum, does. */
function embedStill(graph: Graph, weights: Weights, patches: Tensor): Tensor {
  const kernel = graph.add(weights.get("v.patch_embd.weight"), weights.get("v.patch_embd.weight.1"));
  return graph.matmul(graph.reshape(kernel, patches.shape[0], kernel.shape[3]), patches);
}

/** Position embeddings of the four corners around each patch, times their weights. */
function addPositions(graph: Graph, weights: Weights, x: Tensor, corners: PositionCorners): Tensor {
  const table = weights.get("v.position_embd.weight");
  for (const [corner, indices] of corners.indices.entries()) {
    const rows = graph.getRows(table, graph.constant(indices, indices.length));
    const share = corners.weights[corner] as Float32Array;
    x = graph.add(x, graph.mul(rows, graph.constant(share, 1, share.length)));
  }
  return x;
}

/** A pre-norm transformer block: attention, then a feed-forward layer, each added to its input. */
function buildBlock(
  graph: Graph,
  weights: Weights,
  config: QwenConfig,
  index: number,
  x: Tensor,
  { order, positions }: QwenInput,
): Tensor {
  const block = `v.blk.${index}`;
  const linear = (name: string, of: Tensor): Tensor =>
    graph.linear(of, weights.get(`${block}.${name}.weight`), weights.find(`${block}.${name}.bias`));
  const [q, k, v] = projectHeads(
    graph,
    weights,
    config,
    block,
    norm(graph, weights, config, `${block}.ln1`, x),
  );
  const heads = [turn(graph, config, q, positions), turn(graph, config, k, positions), v] as const;
  const seesAll = config.window === undefined || (index + 1) % config.wholePattern === 0;
  const attended = seesAll
    ? attend(graph, ...heads, config.heads)
    : attendInWindows(graph, config, order, heads);
  x = graph.add(x, linear("attn_out", attended));

  const [up, down] = config.feedForwardNamesSwapped ? ["ffn_down", "ffn_up"] : ["ffn_up", "ffn_down"];
  const normed = norm(graph, weights, config, `${block}.ln2`, x);
  const hidden = config.gated
    ? graph.swiglu(linear("ffn_gate", normed), linear(up, normed))
    : activate(graph, config, linear(up, normed));
  return graph.add(x, linear(down, hidden));
}

/** Queries, keys and values; some files hold their weights as one matrix, one below the other. */
function projectHeads(
  graph: Graph,
  weights: Weights,
  { embeddingLength, fusedAttention }: QwenConfig,
  block: string,
  x: Tensor,
): [q: Tensor, k: Tensor, v: Tensor] {
  const third = (name: string, place: number): Tensor => {
    if (!fusedAttention) {
      return graph.linear(x, weights.get(`${block}.${name}.weight`), weights.find(`${block}.${name}.bias`));
    }
    const weight = graph.rows(
      weights.get(`${block}.attn_qkv.weight`),
      place * embeddingLength,
      embeddingLength,
    );
    const bias = weights.find(`${block}.attn_qkv.bias`);
    return graph.linear(x, weight, bias && graph.rows(graph.reshape(bias, embeddingLength, 3), place, 1));
  };
  return [third("attn_q", 0), third("attn_k", 1), third("attn_v", 2)];
}

/** Turns the first half of the pairs of every head by the row of the patch, the second by its column. */
function turn(graph: Graph, { heads }: QwenConfig, x: Tensor, positions: Tensor): Tensor {
  const turned = graph.ropeMulti(splitHeads(graph, x, heads), positions, { base: ROPE_BASE, mode: "vision" });
  return graph.reshape(turned, ...x.shape);
}

/** Every patch sees those of its own window; windows of one size are one batch. */
function attendInWindows(
  graph: Graph,
  { heads, embeddingLength }: QwenConfig,
  { windows }: PatchOrder,
  operands: readonly [q: Tensor, k: Tensor, v: Tensor],
): Tensor {
  let start = 0;
  let result: Tensor | undefined;
  for (const { patches, count } of windows) {
    const rows = patches * count;
    const cut = (x: Tensor): Tensor =>
      graph.reshape(graph.rows(x, start, rows), embeddingLength, patches, 1, count);
    const [q, k, v] = operands;
    const attended = graph.reshape(attend(graph, cut(q), cut(k), cut(v), heads), embeddingLength, rows);
    result = result === undefined ? attended : graph.concatRows(result, attended);
    start += rows;
  }
  return result as Tensor;
}

/** The patches of a square one beside the other: [merge² * embeddingLength, squares]. */
function joinSquares(graph: Graph, { merge, embeddingLength }: QwenConfig, x: Tensor): Tensor {
  return graph.reshape(x, merge ** 2 * embeddingLength, x.shape[1] / merge ** 2);
}

/** Qwen3-VL's second way to the text model: added to the states after its first blocks. */
function mergeDeep(graph: Graph, weights: Weights, config: QwenConfig, index: number, x: Tensor): Tensor {
  const name = `v.deepstack.${index}`;
  const normed = norm(graph, weights, config, `${name}.norm`, joinSquares(graph, config, x));
  return project(graph, weights, `${name}.fc1`, `${name}.fc2`, normed);
}

/** PyTorch's GELU, the exact one, between two linear layers. */
function project(graph: Graph, weights: Weights, first: string, second: string, x: Tensor): Tensor {
  const linear = (name: string, of: Tensor): Tensor =>
    graph.linear(of, weights.get(`${name}.weight`), weights.find(`${name}.bias`));
  return linear(second, graph.geluErf(linear(first, x)));
}

function norm(graph: Graph, weights: Weights, config: QwenConfig, name: string, x: Tensor): Tensor {
  const weight = weights.get(`${name}.weight`);
  if (config.rmsNorm) return graph.rmsNorm(x, config.epsilon, weight);
  return graph.layerNorm(x, config.epsilon, weight, weights.find(`${name}.bias`));
}

function activate(graph: Graph, { activation }: QwenConfig, x: Tensor): Tensor {
  if (activation === "gelu") return graph.gelu(x);
  return activation === "silu" ? graph.silu(x) : graph.geluQuick(x);
}

/** Lists the tensors that `buildQwenVit` computes with, in the shapes that the header promises. */
export function listQwenWeights(list: WeightList, config: QwenConfig): void {
  const { embeddingLength, feedForwardLength, patchSize, projectionLength, merge } = config;
  const joined = merge ** 2 * embeddingLength;
  const norm = (name: string, width: number): void => {
    list.vector(`${name}.weight`, [width]);
    if (!config.rmsNorm) list.optionalVector(`${name}.bias`, [width]);
  };
  list.vector("v.patch_embd.weight", [patchSize, patchSize, 3, embeddingLength]);
  list.vector("v.patch_embd.weight.1", [patchSize, patchSize, 3, embeddingLength]);
  list.optionalVector("v.patch_embd.bias", [embeddingLength]);
  const [up, down] = config.feedForwardNamesSwapped ? ["ffn_down", "ffn_up"] : ["ffn_up", "ffn_down"];
  for (let index = 0; index < config.blockCount; index++) {
    const block = `v.blk.${index}`;
    norm(`${block}.ln1`, embeddingLength);
    if (config.fusedAttention) list.linear(`${block}.attn_qkv`, embeddingLength, 3 * embeddingLength);
    else {
      for (const name of ["attn_q", "attn_k", "attn_v"]) {
        list.linear(`${block}.${name}`, embeddingLength, embeddingLength);
      }
    }
    list.linear(`${block}.attn_out`, embeddingLength, embeddingLength);
    norm(`${block}.ln2`, embeddingLength);
    if (config.gated) list.linear(`${block}.ffn_gate`, embeddingLength, feedForwardLength);
    list.linear(`${block}.${up}`, embeddingLength, feedForwardLength);
    list.linear(`${block}.${down}`, feedForwardLength, embeddingLength);
  }
  for (const index of config.deepstackBlocks) {
    norm(`v.deepstack.${index}.norm`, joined);
    list.linear(`v.deepstack.${index}.fc1`, joined, joined);
    list.linear(`v.deepstack.${index}.fc2`, joined, projectionLength);
  }
  norm("v.post_ln", embeddingLength);
  list.linear("mm.0", joined, joined);
  list.linear("mm.2", joined, projectionLength);
  if (config.positionsPerSide !== undefined) {
    list.vector("v.position_embd.weight", [embeddingLength, config.positionsPerSide ** 2]);
  }
  // Of the encoder for sound that files of Qwen2.5-Omni have beside this one.
  list.ignore("mm.a.");
}
