import type { Backend } from "../native/backend.ts";
import { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

/** Of a picture in more tiles, so many rows are computed at a time, which bounds the memory that it takes. */
const ROWS_PER_RUN = 4096;

export interface TileRunsOptions {
  /** Side of a tile, in pixels. */
  side: number;
  /** Rows of the transformer for one tile. */
  rows: number;
  /** Most tensors of the graph. */
  maxTensors: number;
  /** @param tiles [side, side, 3, tiles] @returns [columns, rows, 1, tiles] */
  build: (graph: Graph, tiles: Tensor) => Tensor;
}

/**
 * Runs tiles of one size through an encoder, as many at a time as memory should take. The graph of the last run is
 * kept: pictures mostly come in tiles of the same number, and building one takes milliseconds.
 */
export class TileRuns {
  readonly #backend: Backend;
  readonly #options: TileRunsOptions;
  #built: { tiles: number; graph: Graph; input: Tensor; output: Tensor };
  #last: Promise<unknown> = Promise.resolve();

  /** @throws MullError `out_of_memory` when there is not enough for one tile */
  constructor(backend: Backend, options: TileRunsOptions) {
    this.#backend = backend;
    this.#options = options;
    this.#built = this.#build(1);
  }

  /**
   * Pictures are computed one after the other, in the order of the calls.
   * @param tiles (3, side, side) float32 each
   * @returns (rows of all tiles, columns) float32
   * @throws MullError `aborted`, `out_of_memory`
   */
  async run(tiles: readonly Float32Array[], signal?: AbortSignal): Promise<Float32Array> {
    const result = this.#last.then(() => this.#runAll(tiles, signal));
    this.#last = result.catch(() => {});
    return result;
  }

  async #runAll(tiles: readonly Float32Array[], signal?: AbortSignal): Promise<Float32Array> {
    const most = tilesPerRun(this.#options.rows, tiles.length);
    const results: Float32Array[] = [];
    for (let start = 0; start < tiles.length; start += most) {
      const some = tiles.slice(start, start + most);
      if (this.#built.tiles !== some.length) await this.#rebuild(some.length);
      const { graph, input, output } = this.#built;
      results.push(await graph.run(input, join(some), output, signal));
    }
    return join(results);
  }

  /** The old graph is freed first: two of them could be more than there is memory for. */
  async #rebuild(tiles: number): Promise<void> {
    await this.#built.graph.close();
    try {
      this.#built = this.#build(tiles);
    } catch (error) {
      this.#built = this.#build(1);
      throw error;
    }
  }

  #build(tiles: number): { tiles: number; graph: Graph; input: Tensor; output: Tensor } {
    const { side, maxTensors, build } = this.#options;
    const graph = new Graph(this.#backend, { maxTensors });
    try {
      const input = graph.input(side, side, 3, tiles);
      const output = build(graph, input);
      graph.finish(output);
      return { tiles, graph, input, output };
    } catch (error) {
      void graph.close();
      throw error;
    }
  }

  /** Waits for the runs in progress. */
  async close(): Promise<void> {
    await this.#last;
    await this.#built.graph.close();
  }
}

/** How many of a picture's tiles are computed at the same time. */
export function tilesPerRun(rowsPerTile: number, tiles: number): number {
  return Math.min(tiles, Math.max(1, Math.floor(ROWS_PER_RUN / rowsPerTile)));
}

function join(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0] as Float32Array;
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
