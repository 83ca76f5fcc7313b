import type { EngineStats, Model } from "../../spec/model.ts";
import type { LoadedModel } from "../model-pool.ts";
import type { ServerContext } from "../server-context.ts";

/** A busy engine answers late; a scrape must not wait for it. */
const STATS_TIME_LIMIT_MS = 500;

/** Counters of an engine, which begin anew with it, by the name of their metric. */
const COUNTERS: Readonly<Record<string, (stats: EngineStats) => number>> = {
  engine_prompt_tokens_total: (stats) => stats.promptTokens,
  engine_cached_tokens_total: (stats) => stats.cachedTokens,
  engine_generated_tokens_total: (stats) => stats.generatedTokens,
  engine_encoded_images_total: (stats) => stats.encodedImages,
  engine_encode_seconds_total: (stats) => stats.encodeSeconds,
  engine_prefill_seconds_total: (stats) => stats.prefillSeconds,
  engine_generate_seconds_total: (stats) => stats.generateSeconds,
};

const GAUGES: Readonly<Record<string, (stats: EngineStats) => number>> = {
  requests_running: (stats) => stats.running,
  requests_waiting: (stats) => stats.waiting,
  parallel_requests: (stats) => stats.parallel,
  kv_cells: (stats) => stats.contextCells,
  kv_cells_used: (stats) => stats.usedCells,
  kv_cache_usage_ratio: (stats) => (stats.contextCells === 0 ? 0 : stats.usedCells / stats.contextCells),
  engine_resident_memory_bytes: (stats) => stats.residentBytes,
};

/** Brings what engines count into the server's metrics, whenever they are asked for. */
export class ModelMetrics {
  readonly #context: ServerContext;
  readonly #timeLimitMs: number;
  /** The last statistics of each engine: counters of the server go on when an engine is started anew. */
  readonly #last = new WeakMap<Model, EngineStats>();
  #known = new Set<string>();
  #running: Promise<void> | undefined;

  constructor(context: ServerContext, timeLimitMs: number = STATS_TIME_LIMIT_MS) {
    this.#context = context;
    this.#timeLimitMs = timeLimitMs;
  }

  /** Never rejects; an engine that does not answer in time keeps its last values. */
  collect(): Promise<void> {
    // Two scrapes at once would count twice.
    this.#running ??= this.#collect().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #collect(): Promise<void> {
    const { metrics, models, admission } = this.#context;
    const loaded = models.loaded();
    metrics.gauge("models_loaded", loaded.length);
    metrics.gauge("process_resident_memory_bytes", process.memoryUsage.rss());
    const names = new Set([...loaded.map(({ entry }) => entry.name), ...admission.pending.keys()]);
    // What is no longer there must not keep the values it had.
    for (const model of this.#known) {
      if (names.has(model)) continue;
      for (const name of Object.keys(GAUGES)) metrics.gauge(name, 0, { model });
    }
    for (const model of [...names, ...this.#known]) {
      metrics.gauge("requests_pending", admission.pending.get(model) ?? 0, { model });
    }
    this.#known = names;
    await Promise.all(loaded.map((model) => this.#collectModel(model)));
  }

  async #collectModel({ entry, model }: LoadedModel): Promise<void> {
    const { metrics } = this.#context;
    const stats = await this.#statsOf(model);
    if (stats === undefined) return;
    const labels = { model: entry.name };
    for (const [name, read] of Object.entries(GAUGES)) metrics.gauge(name, read(stats), labels);
    const last = this.#last.get(model);
    for (const [name, read] of Object.entries(COUNTERS)) {
      const before = last === undefined ? 0 : read(last);
      const now = read(stats);
      metrics.count(name, labels, now >= before ? now - before : now);
    }
    this.#last.set(model, stats);
  }

  async #statsOf(model: Model): Promise<EngineStats | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), this.#timeLimitMs);
    });
    try {
      return await Promise.race([model.stats(), late]);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}
