import type { Backend } from "../native/backend.ts";
import { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import { MullError } from "../spec/errors.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { SizedGraph } from "./sized-graph.ts";

interface PictureGraph {
  graph: Graph;
  input: Tensor;
  output: Tensor;
}

export interface PictureGraphsOptions {
  /** Most tensors of a graph. */
  maxTensors: number;
  /** @param image [width, height, 3] @returns [columns, rows] */
  build: (graph: Graph, image: Tensor) => Tensor;
}

/** Encodes pictures of any size, each whole in one tile. */
export class PictureGraphs {
  readonly #graphs: SizedGraph<PictureGraph>;

  constructor(backend: Backend, { maxTensors, build }: PictureGraphsOptions) {
    this.#graphs = new SizedGraph(({ width, height }) => {
      const graph = new Graph(backend, { maxTensors });
      try {
        const input = graph.input(width, height, 3);
        const output = build(graph, input);
        graph.finish(output);
        return { graph, input, output };
      } catch (error) {
        void graph.close();
        throw error;
      }
    });
  }

  /** @returns (rows, columns) float32. @throws MullError `aborted`, `out_of_memory` */
  async encode(image: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array> {
    const [tile] = image.tiles;
    if (tile === undefined) throw new MullError("internal", "A preprocessed picture has one tile.");
    return this.#graphs.run(image.seen, async ({ graph, input, output }) =>
      graph.run(input, tile, output, signal),
    );
  }

  close(): Promise<void> {
    return this.#graphs.close();
  }
}
