import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import type { Weights } from "../native/weights.ts";
import { attendInHeads, splitHeads } from "./attention.ts";
import { embedPatches } from "./patch-embedding.ts";
import type { PixtralConfig } from "./pixtral-config.ts";
import type { RowGrid } from "./row-grid.ts";
import type { WeightList } from "./weight-list.ts";

/** Row and column of every patch: int32 [patches] each. */
interface Places {
  down: Tensor;
  across: Tensor;
}

/**
 * Pixtral's vision transformer, its projector, and the row that ends every line but the last.
 *
 * Agrawal et al. 2024, "Pixtral 12B", arXiv 2410.07073; transformers: modeling_pixtral.py, modeling_llava.py,
 * modeling_mistral3.py. Tensors are named as in GGUF, where the columns of queries and keys are in such an order that
 * neighbours turn together.
 *
 * @param image [width, height, 3], both sides multiples of `config.factor`
 * @returns [projectionLength, rows]
 */
export function buildPixtral(graph: Graph, weights: Weights, config: PixtralConfig, image: Tensor): Tensor {
  const { patchSize, merge } = config;
  const grid: RowGrid = { rows: image.shape[1] / patchSize, columns: image.shape[0] / patchSize };
  const places = placePatches(graph, grid);
  const norm = (name: string, x: Tensor): Tensor =>
    graph.rmsNorm(x, config.epsilon, weights.get(`${name}.weight`));
  let x = norm("v.pre_ln", embedPatches(graph, image, weights.get("v.patch_embd.weight")));
  for (let index = 0; index < config.blockCount; index++) {
    x = buildBlock(graph, weights, config, `v.blk.${index}`, x, places);
  }
  if (config.mergesPatches) x = mergePatches(graph, weights, config, grid, norm("mm.input_norm", x));
  return endLines(graph, weights, project(graph, weights, x), {
    rows: grid.rows / merge,
    columns: grid.columns / merge,
  });
}

function placePatches(graph: Graph, { rows, columns }: RowGrid): Places {
  const count = rows * columns;
  const down = Int32Array.from({ length: count }, (_, patch) => Math.floor(patch / columns));
  const across = Int32Array.from({ length: count }, (_, patch) => patch % columns);
  return { down: graph.constant(down, count), across: graph.constant(across, count) };
}

/** A pre-norm transformer block: attention, then a feed-forward layer with a gate, each added to its input. */
function buildBlock(
  graph: Graph,
  weights: Weights,
  { heads, epsilon, ropeBase, activation }: PixtralConfig,
  block: string,
  x: Tensor,
  { down, across }: Places,
): Tensor {
  const linear = (name: string, of: Tensor): Tensor =>
    graph.linear(of, weights.get(`${block}.${name}.weight`), weights.find(`${block}.${name}.bias`));
  const norm = (name: string): Tensor => graph.rmsNorm(x, epsilon, weights.get(`${block}.${name}.weight`));
  const turn = (of: Tensor): Tensor =>
    graph.rope2d(splitHeads(graph, of, heads), down, across, { base: ropeBase, alternate: true });
  let normed = norm("ln1");
  const [q, k] = [turn(linear("attn_q", normed)), turn(linear("attn_k", normed))];
  const v = splitHeads(graph, linear("attn_v", normed), heads);
  x = graph.add(x, linear("attn_out", attendInHeads(graph, q, k, v)));

  normed = norm("ln2");
  const [gate, up] = [linear("ffn_gate", normed), linear("ffn_up", normed)];
  const hidden = activation === "silu" ? graph.swiglu(gate, up) : graph.mul(graph.geluErf(gate), up);
  return graph.add(x, linear("ffn_down", hidden));
}

/** Squares of patches become one row each; inside a row, all of a square's numbers for one column are neighbours. */
function mergePatches(
  graph: Graph,
  weights: Weights,
  { embeddingLength, merge }: PixtralConfig,
  { rows, columns }: RowGrid,
  x: Tensor,
): Tensor {
  const picture = graph.permute(graph.reshape(x, embeddingLength, columns, rows), [2, 0, 1, 3]); // [columns, rows, embeddingLength]
  const squares = graph.squares(graph.contiguous(picture), merge);
  const [elements, across, down] = squares.shape;
  return graph.matmul(weights.get("mm.patch_merger.weight"), graph.reshape(squares, elements, across * down));
}

/** PyTorch's GELU, the exact one, between two linear layers. */
function project(graph: Graph, weights: Weights, x: Tensor): Tensor {
  const linear = (name: string, of: Tensor): Tensor =>
    graph.linear(of, weights.get(`${name}.weight`), weights.find(`${name}.bias`));
  return linear("mm.2", graph.geluErf(linear("mm.1", x)));
}

/** Behind every line but the last, the text model's embedding of `[IMG_BREAK]`, of which the file holds a copy. */
function endLines(graph: Graph, weights: Weights, x: Tensor, { rows, columns }: RowGrid): Tensor {
  if (rows === 1) return x;
  const [width] = x.shape;
  const end = graph.reshape(weights.get("v.token_embd.img_break"), width, 1, 1);
  const lines = graph.concatRows(graph.reshape(x, width, columns, rows), graph.repeat(end, width, 1, rows));
  return graph.rows(graph.reshape(lines, width, (columns + 1) * rows), 0, (columns + 1) * rows - 1);
}

/** Lists the tensors that `buildPixtral` computes with, in the shapes that the header promises. */
export function listPixtralWeights(list: WeightList, config: PixtralConfig): void {
  const { embeddingLength, feedForwardLength, patchSize, merge, projectionLength } = config;
  list.vector("v.patch_embd.weight", [patchSize, patchSize, 3, embeddingLength]);
  list.vector("v.pre_ln.weight", [embeddingLength]);
  for (let index = 0; index < config.blockCount; index++) {
    const block = `v.blk.${index}`;
    list.vector(`${block}.ln1.weight`, [embeddingLength]);
    for (const name of ["attn_q", "attn_k", "attn_v", "attn_out"]) {
      list.linear(`${block}.${name}`, embeddingLength, embeddingLength);
    }
    list.vector(`${block}.ln2.weight`, [embeddingLength]);
    list.linear(`${block}.ffn_gate`, embeddingLength, feedForwardLength);
    list.linear(`${block}.ffn_up`, embeddingLength, feedForwardLength);
    list.linear(`${block}.ffn_down`, feedForwardLength, embeddingLength);
  }
  if (config.mergesPatches) {
    list.vector("mm.input_norm.weight", [embeddingLength]);
    list.linear("mm.patch_merger", merge ** 2 * embeddingLength, embeddingLength);
  }
  list.linear("mm.1", embeddingLength, projectionLength);
  list.linear("mm.2", projectionLength, projectionLength);
  list.vector("v.token_embd.img_break", [projectionLength]);
}
