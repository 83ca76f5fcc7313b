import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

/**
 * The averages of squares of `factor` x `factor` neighbouring rows.
 *
 * @param x [columns, rows, 1, batch], rows in reading order of a square of `side` x `side`, a multiple of `factor`
 * @returns [columns, rows / factor², 1, batch]
 */
export function averageRows(
  graph: Graph,
  x: Tensor,
  { side, factor }: { side: number; factor: number },
): Tensor {
  const [columns, , , batch] = x.shape;
  const planes = graph.contiguous(graph.permute(x, [1, 0, 2, 3])); // [rows, columns, 1, batch]
  const picture = graph.reshape(planes, side, side, columns, batch);
  const averages = graph.pool2d(picture, "average", { window: factor });
  const lines = graph.reshape(averages, (side / factor) ** 2, columns, 1, batch);
  return graph.contiguous(graph.permute(lines, [1, 0, 2, 3]));
}
