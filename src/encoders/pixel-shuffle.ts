import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

/**
 * Joins squares of `factor` x `factor` neighbouring rows to one row, a line of the square after the other: fewer rows,
 * which are wider. Idefics3 (arXiv 2408.12637) calls it pixel shuffle, after Shi et al. 2016.
 *
 * @param x [columns, rows, 1, batch], rows in reading order of `across` x `down`, both multiples of `factor`
 * @returns [columns * factor², rows / factor², 1, batch]
 */
export function pixelShuffle(
  graph: Graph,
  x: Tensor,
  { across, down, factor }: { across: number; down: number; factor: number },
): Tensor {
  const [columns, , , batch] = x.shape;
  const strips = (down / factor) * batch;
  const lines = graph.reshape(x, columns * factor, across / factor, factor, strips);
  const squares = graph.contiguous(graph.permute(lines, [0, 2, 1, 3])); // [columns * factor, factor, across / factor, strips]
  return graph.reshape(squares, columns * factor ** 2, (across / factor) * (down / factor), 1, batch);
}
