import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

/**
 * Squares of `side` x `side` rows become one row each, their numbers one after the other in raster order.
 * (InternVL's pixel_shuffle of version 2; Idefics3's, too.)
 *
 * @param x [columns, across * down, 1, batch], rows in raster order
 * @param across rows in a line, a multiple of `side`, as is their number of lines
 * @returns [columns * side², across * down / side², 1, batch]
 */
export function shufflePixels(graph: Graph, x: Tensor, across: number, side: number): Tensor {
  if (side === 1) return x;
  const [columns, rows, , batch] = x.shape;
  const down = rows / across;
  const swap = (of: Tensor): Tensor => graph.contiguous(graph.permute(of, [0, 2, 1, 3]));
  const pairs = graph.reshape(x, columns * side, across / side, down, batch); // neighbours of a line are one row
  const byColumn = swap(pairs); // [columns * side, down, across / side, batch]
  const squares = swap(graph.reshape(byColumn, columns * side ** 2, down / side, across / side, batch));
  return graph.reshape(squares, columns * side ** 2, rows / side ** 2, 1, batch);
}
