import type { Backend } from "../native/backend.ts";
import { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";

/** Of a picture in more tiles, so many rows are computed at a time, which bounds the memory that it takes. */
const ROWS_PER_RUN = 4096;

export interface TileSize {
  /** In pixels. */
  width: number;
  height: number;
}

export interface TileRunsOptions {
  /** Side of a tile, in pixels, unless a run says another size. */
  side: number;
  /** Rows of the transformer for one such tile. */
  rows: number;
  /** Most tensors of the graph. */
  maxTensors: number;
  /** @param tiles [width, height, 3, tiles] @returns [columns, rows of a tile, 1, tiles] */
  build: (graph: Graph, tiles: Tensor) => Tensor;
}

interface Built extends TileSize {
  tiles: number;
  graph: Graph;
  input: Tensor;
  output: Tensor;
}

/**
 * Runs tiles through an encoder, as many of one size at a time as memory should take. The graph of the last run is
 * kept: pictures mostly come in tiles of the same number and size, and building one takes milliseconds.
 */
export class TileRuns {
  readonly #backend: Backend;
  readonly #options: TileRunsOptions;
  readonly #square: TileSize;
  #built: Built;
  #last: Promise<unknown> = Promise.resolve();

  /** @throws MullError `out_of_memory` when there is not enough for one tile */
  constructor(backend: Backend, options: TileRunsOptions) {
    this.#backend = backend;
    this.#options = options;
    this.#square = { width: options.side, height: options.side };
    this.#built = this.#build(this.#square, 1);
  }

  /**
   * Pictures are computed one after the other, in the order of the calls.
   * @param tiles (3, height, width) float32 each
   * @param sizes of each tile. Default: squares as in the options
   * @returns (rows of all tiles, columns) float32
   * @throws MullError `aborted`, `out_of_memory`
   */
  async run(
    tiles: readonly Float32Array[],
    signal?: AbortSignal,
    sizes: readonly TileSize[] = tiles.map(() => this.#square),
  ): Promise<Float32Array> {
    const result = this.#last.then(() => this.#runAll(tiles, sizes, signal));
    this.#last = result.catch(() => {});
    return result;
  }

  async #runAll(
    tiles: readonly Float32Array[],
    sizes: readonly TileSize[],
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const { side, rows } = this.#options;
    const results: Float32Array[] = [];
    for (let start = 0; start < tiles.length;) {
      const size = sizes[start] ?? this.#square;
      const alike = sizes.slice(start).findIndex((other) => !isSame(other, size));
      const left = alike < 0 ? tiles.length - start : alike;
      const rowsPerTile = (rows * size.width * size.height) / side ** 2;
      const some = tiles.slice(start, start + tilesPerRun(rowsPerTile, left));
      if (!isSame(this.#built, size) || this.#built.tiles !== some.length)
        await this.#rebuild(size, some.length);
      const { graph, input, output } = this.#built;
      results.push(await graph.run(input, join(some), output, signal));
      start += some.length;
    }
    return join(results);
  }

  /** The old graph is freed first: two of them could be more than there is memory for. */
  async #rebuild(size: TileSize, tiles: number): Promise<void> {
    await this.#built.graph.close();
    try {
      this.#built = this.#build(size, tiles);
    } catch (error) {
      this.#built = this.#build(this.#square, 1);
      throw error;
    }
  }

  #build({ width, height }: TileSize, tiles: number): Built {
    const { maxTensors, build } = this.#options;
    const graph = new Graph(this.#backend, { maxTensors });
    try {
      const input = graph.input(width, height, 3, tiles);
      const output = build(graph, input);
      graph.finish(output);
      return { width, height, tiles, graph, input, output };
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

function isSame(a: TileSize, b: TileSize): boolean {
  return a.width === b.width && a.height === b.height;
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
