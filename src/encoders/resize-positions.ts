import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

/**
 * A table of positions that was learnt on a square of patches, brought to a picture of another shape, as SigLIP 2 does
 * it (transformers: Siglip2VisionEmbeddings): bilinear, antialiased.
 *
 * @param table [columns, side²], in reading order
 * @returns [columns, across * down]
 */
export function resizePositions(graph: Graph, table: Tensor, across: number, down: number): Tensor {
  const [columns, count] = table.shape;
  const side = Math.sqrt(count);
  if (across === side && down === side) return table;
  const planes = graph.contiguous(graph.permute(graph.reshape(table, columns, side, side), [2, 0, 1, 3]));
  const resized = graph.interpolate(planes, across, down, { filter: "bilinear", antialias: true });
  return graph.reshape(graph.contiguous(graph.permute(resized, [1, 2, 0, 3])), columns, across * down);
}
