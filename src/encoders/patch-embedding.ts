import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

/**
 * One row per square of the picture: a convolution whose stride is its own width.
 * Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words", section 3.1.
 *
 * @param image [width, height, channels, batch]
 * @param kernel [side, side, channels, columns]
 * @returns [columns, squares, 1, batch], squares in reading order
 */
export function embedPatches(graph: Graph, image: Tensor, kernel: Tensor): Tensor {
  const columns = kernel.shape[3];
  const squares = graph.squares(image, kernel);
  const [elements, across, down, batch] = squares.shape;
  return graph.matmul(
    graph.reshape(kernel, elements, columns),
    graph.reshape(squares, elements, across * down, 1, batch),
  );
}
