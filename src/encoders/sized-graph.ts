import type { Graph } from "../native/graph.ts";

interface Size {
  width: number;
  height: number;
}

/**
 * Graphs of an encoder whose pictures have any size. The last one is kept, since the next picture is often of the same
 * size; jobs run one after the other, so that no graph is closed while it computes.
 */
export class SizedGraph<Built extends { graph: Graph }> {
  readonly #build: (size: Size) => Built;
  #size: Size = { width: 0, height: 0 };
  #built: Built | undefined;
  #lastJob: Promise<unknown> = Promise.resolve();

  /** @param build makes and finishes a graph; it closes it itself if it fails */
  constructor(build: (size: Size) => Built) {
    this.#build = build;
  }

  /** Calls `job` with the graph for this size after all earlier ones have ended. */
  async run<Result>(size: Size, job: (built: Built) => Promise<Result>): Promise<Result> {
    const result = this.#lastJob.then(async () => job(await this.#take(size)));
    this.#lastJob = result.catch(() => {});
    return result;
  }

  /** Waits for the last job. */
  async close(): Promise<void> {
    const closed = this.#lastJob.then(async () => this.#free());
    this.#lastJob = closed;
    return closed;
  }

  async #take(size: Size): Promise<Built> {
    if (this.#built !== undefined && size.width === this.#size.width && size.height === this.#size.height) {
      return this.#built;
    }
    // Before the next one is made: both together could be too much.
    await this.#free();
    this.#built = this.#build(size);
    this.#size = size;
    return this.#built;
  }

  async #free(): Promise<void> {
    const built = this.#built;
    this.#built = undefined;
    await built?.graph.close();
  }
}
