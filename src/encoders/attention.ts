import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

export interface AttentionOptions {
  /** f32 [keys, rows, 1 or heads, 1 or batch]: 0 where a row looks, -Infinity where it does not. Default: everywhere. */
  mask?: Tensor;
  /** Times the scores. Default 1 / √head columns. */
  scale?: number;
  /** Heads of keys and values, a divisor of the heads of the queries. Default as many. */
  keyHeads?: number;
  /** One operation instead of several. Default: where that loses no precision. */
  fused?: boolean;
}

/**
 * Multi-head attention: softmax(q kᵀ / √head columns) v, for each of `heads` slices of the columns.
 * Vaswani et al. 2017, "Attention Is All You Need", section 3.2.
 *
 * @param q [columns, rows, 1, batch], after its projection
 * @param k [columns, keys, 1, batch]; v alike
 * @returns [columns, rows, 1, batch]
 */
export function attend(
  graph: Graph,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  heads: number,
  options: AttentionOptions = {},
): Tensor {
  const { keyHeads = heads } = options;
  const [query, key, value] = [
    splitHeads(graph, q, heads),
    splitHeads(graph, k, keyHeads),
    splitHeads(graph, v, keyHeads),
  ];
  return attendInHeads(graph, query, key, value, options);
}

/** x [columns, rows, 1, batch] → [head columns, heads, rows, batch], as `rope` takes it. Moves no data. */
export function splitHeads(graph: Graph, x: Tensor, heads: number): Tensor {
  const [columns, rows, , batch] = x.shape;
  return graph.reshape(x, columns / heads, heads, rows, batch);
}

/**
 * Attention of what `splitHeads` has split, and `rope` may have turned.
 *
 * @param q [head columns, heads, rows, batch]
 * @param k [head columns, key heads, keys, batch]
 * @param v [value columns, key heads, keys, batch]
 * @returns [value columns * heads, rows, 1, batch]
 */
export function attendInHeads(
  graph: Graph,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: Omit<AttentionOptions, "keyHeads"> = {},
): Tensor {
  const [headColumns, heads, rows, batch] = q.shape;
  const { mask, scale = 1 / Math.sqrt(headColumns), fused = graph.hasExactFlashAttention } = options;
  const byHead = (x: Tensor): Tensor => graph.permute(x, [0, 2, 1, 3]); // [head columns, rows, heads, batch]
  const attended = fused
    ? graph.flashAttention(byHead(q), byHead(k), byHead(v), scale, mask)
    : attendStepByStep(graph, byHead(q), byHead(k), byHead(v), scale, mask);
  return graph.reshape(attended, v.shape[0] * heads, rows, 1, batch);
}

/** Each operand [head columns, rows, heads, batch]. */
function attendStepByStep(
  graph: Graph,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  scale: number,
  mask?: Tensor,
): Tensor {
  const scores = graph.matmul(k, graph.contiguous(q)); // [keys, queries, heads, batch]
  const valuesByColumn = graph.contiguous(graph.permute(v, [1, 0, 2, 3])); // [keys, head columns, heads, batch]
  const attended = graph.matmul(valuesByColumn, graph.softmax(scores, scale, mask)); // [head columns, queries, …]
  return graph.contiguous(graph.permute(attended, [0, 2, 1, 3])); // [head columns, heads, queries, batch]
}
