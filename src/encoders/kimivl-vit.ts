import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import type { Weights } from "../native/weights.ts";
import { attendInHeads, splitHeads } from "./attention.ts";
import type { KimiVlConfig } from "./kimivl-config.ts";
import { embedPatches } from "./patch-embedding.ts";
import { pixelShuffle } from "./pixel-shuffle.ts";
import type { RowGrid } from "./row-grid.ts";
import type { WeightList } from "./weight-list.ts";

/** Of the rotary position embedding. */
const ROPE_BASE = 10_000;
/** PyTorch's default, which the projector's norm has. */
const PROJECTOR_EPSILON = 1e-5;

/** Row and column of every patch: int32 [patches] each. */
interface Places {
  down: Tensor;
  across: Tensor;
}

/**
 * MoonViT and Kimi-VL's projector.
 *
 * Kimi Team 2025, "Kimi-VL Technical Report", arXiv 2504.07491; moonshotai/Kimi-VL-A3B-Instruct: modeling_kimi_vl.py.
 * Tensors are named as in GGUF. Queries and keys have the order of columns of that code: pairs turn in turns by the
 * column of a patch and by its row. (llama.cpp turns the first half by the one and the second half by the other, as if
 * its converter had changed the order, which it does for Kimi-K2.5 only.)
 *
 * @param image [width, height, 3], both sides multiples of `config.factor`
 * @returns [projectionLength, patches / merge²]
 */
export function buildKimiVl(graph: Graph, weights: Weights, config: KimiVlConfig, image: Tensor): Tensor {
  const { patchSize, merge, epsilon } = config;
  const grid: RowGrid = { rows: image.shape[1] / patchSize, columns: image.shape[0] / patchSize };
  const norm = (name: string, of: Tensor, small = epsilon): Tensor =>
    graph.layerNorm(of, small, weights.get(`${name}.weight`), weights.get(`${name}.bias`));
  const places = placePatches(graph, grid);
  let x = graph.add(
    embedPatches(graph, image, weights.get("v.patch_embd.weight")),
    weights.get("v.patch_embd.bias"),
  );
  x = graph.add(x, positions(graph, weights, config, grid));
  for (let index = 0; index < config.blockCount; index++) {
    const block = `v.blk.${index}`;
    const linear = (name: string, of: Tensor): Tensor =>
      graph.linear(of, weights.get(`${block}.${name}.weight`), weights.find(`${block}.${name}.bias`));
    const normed = norm(`${block}.ln1`, x);
    const turned = (name: string): Tensor => turn(graph, config, linear(name, normed), places);
    const v = splitHeads(graph, linear("attn_v", normed), config.heads);
    x = graph.add(x, linear("attn_out", attendInHeads(graph, turned("attn_q"), turned("attn_k"), v)));
    x = graph.add(x, linear("ffn_down", graph.gelu(linear("ffn_up", norm(`${block}.ln2`, x)))));
  }
  x = norm("mm.input_norm", norm("v.post_ln", x), PROJECTOR_EPSILON);
  const squares = pixelShuffle(graph, x, { across: grid.columns, down: grid.rows, factor: merge });
  const linear = (name: string, of: Tensor): Tensor =>
    graph.linear(of, weights.get(`${name}.weight`), weights.get(`${name}.bias`));
  return linear("mm.2", graph.geluErf(linear("mm.1", squares)));
}

function placePatches(graph: Graph, { rows, columns }: RowGrid): Places {
  const count = rows * columns;
  const down = Int32Array.from({ length: count }, (_, patch) => Math.floor(patch / columns));
  const across = Int32Array.from({ length: count }, (_, patch) => patch % columns);
  return { down: graph.constant(down, count), across: graph.constant(across, count) };
}

/** The learned positions, of a square, stretched to the shape of the picture: [embeddingLength, patches]. */
function positions(
  graph: Graph,
  weights: Weights,
  { embeddingLength, positionsPerSide: side }: KimiVlConfig,
  { rows, columns }: RowGrid,
): Tensor {
  const table = weights.get("v.position_embd.weight");
  if (rows === side && columns === side) return table;
  const square = graph.permute(graph.reshape(table, embeddingLength, side, side), [2, 0, 1, 3]); // [side, side, embeddingLength]
  const stretched = graph.interpolate(graph.contiguous(square), columns, rows, { filter: "bicubic" });
  return graph.reshape(
    graph.contiguous(graph.permute(stretched, [1, 2, 0, 3])),
    embeddingLength,
    rows * columns,
  );
}

/** @returns [head columns, heads, patches]: first what turns by the column, then what turns by the row */
function turn(graph: Graph, { heads }: KimiVlConfig, x: Tensor, { down, across }: Places): Tensor {
  const [columns, patches] = x.shape;
  const pairs = graph.reshape(x, 2, 2, columns / heads / 4, heads * patches);
  const halves = graph.contiguous(graph.permute(pairs, [0, 2, 1, 3])); // [2, head columns / 4, 2, heads * patches]
  const split = graph.reshape(halves, columns / heads, heads, patches);
  return graph.rope2d(split, across, down, { base: ROPE_BASE });
}

/** Lists the tensors that `buildKimiVl` computes with, in the shapes that the header promises. */
export function listKimiVlWeights(list: WeightList, config: KimiVlConfig): void {
  const { embeddingLength, feedForwardLength, patchSize, positionsPerSide, merge, projectionLength } = config;
  const norm = (name: string): void => {
    list.vector(`${name}.weight`, [embeddingLength]);
    list.vector(`${name}.bias`, [embeddingLength]);
  };
  list.vector("v.patch_embd.weight", [patchSize, patchSize, 3, embeddingLength]);
  list.vector("v.patch_embd.bias", [embeddingLength]);
  list.vector("v.position_embd.weight", [embeddingLength, positionsPerSide ** 2]);
  for (let index = 0; index < config.blockCount; index++) {
    const block = `v.blk.${index}`;
    norm(`${block}.ln1`);
    for (const name of ["attn_q", "attn_k", "attn_v", "attn_out"]) {
      list.linear(`${block}.${name}`, embeddingLength, embeddingLength);
    }
    norm(`${block}.ln2`);
    list.linear(`${block}.ffn_up`, embeddingLength, feedForwardLength);
    list.linear(`${block}.ffn_down`, feedForwardLength, embeddingLength);
  }
  norm("v.post_ln");
  norm("mm.input_norm");
  list.linear("mm.1", merge ** 2 * embeddingLength, merge ** 2 * embeddingLength);
  list.linear("mm.2", merge ** 2 * embeddingLength, projectionLength);
}
