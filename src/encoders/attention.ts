import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

/**
 * Multi-head attention without a mask: softmax(q kᵀ / √head columns) v, for each of `heads` slices of the columns.
 * Vaswani et al. 2017, "Attention Is All You Need", section 3.2.
 *
 * @param q [columns, rows, batch], after its projection; k and v alike
 * @param fused one operation instead of several. Default: where that loses no precision
 * @returns [columns, rows, batch]
 */
export function attend(
  graph: Graph,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  heads: number,
  fused: boolean = graph.hasExactFlashAttention,
): Tensor {
  const [columns, rows, batch] = q.shape;
  const scale = 1 / Math.sqrt(columns / heads);
  const split = (x: Tensor): Tensor =>
    graph.permute(graph.reshape(x, columns / heads, heads, rows, batch), [0, 2, 1, 3]); // [head columns, rows, heads, batch]
  const attended = fused
    ? graph.flashAttention(split(q), split(k), split(v), scale)
    : attendStepByStep(graph, split(q), split(k), split(v), scale);
  return graph.reshape(attended, columns, rows, batch);
}

/** Each operand [head columns, rows, heads, batch]. */
function attendStepByStep(graph: Graph, q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor {
  const weights = graph.softmax(graph.matmul(k, graph.contiguous(q)), scale); // [keys, queries, heads, batch]
  const valuesByColumn = graph.contiguous(graph.permute(v, [1, 0, 2, 3])); // [keys, head columns, heads, batch]
  const attended = graph.matmul(valuesByColumn, weights); // [head columns, queries, heads, batch]
  return graph.contiguous(graph.permute(attended, [0, 2, 1, 3])); // [head columns, heads, queries, batch]
}
