import { MullError } from "../spec/errors.ts";
import type { StreamPart, Timings, Usage } from "../spec/stream.ts";
import type { Metrics } from "./metrics.ts";

/**
 * Passes the parts of an answer on and counts them: time to the first and between all pieces, tokens, cache hits,
 * how it ended. Every stream that a route asks a model for goes through here.
 *
 * @param model canonical name, as `Lease.entry.name`: names from requests would make endless labels
 */
export async function* observeStream(
  metrics: Metrics,
  model: string,
  parts: AsyncIterable<StreamPart>,
): AsyncGenerator<StreamPart, void, undefined> {
  const labels = { model };
  const started = performance.now();
  let last = started;
  let isFirst = true;
  // Whoever leaves early leaves it at this.
  let reason: string = "aborted";
  try {
    for await (const part of parts) {
      if (part.type === "text-delta" || part.type === "reasoning-delta" || part.type === "tool-call") {
        const now = performance.now();
        const name = isFirst ? "time_to_first_token_seconds" : "inter_token_latency_seconds";
        metrics.observe(name, (now - last) / 1000, labels);
        last = now;
        isFirst = false;
      } else if (part.type === "media") {
        metrics.count("images_total", labels);
        const place = part.receipt.cachedIn;
        if (place !== undefined) metrics.count("image_cache_hits_total", { model, place });
      } else if (part.type === "finish") {
        ({ reason } = part);
        countUsage(metrics, model, part.usage);
        observeTimings(metrics, model, part.usage, part.timings);
      } else if (part.type === "error") reason = part.error.code;
      yield part;
    }
  } catch (error) {
    reason = MullError.wrap(error).code;
    throw error;
  } finally {
    metrics.observe("request_duration_seconds", (performance.now() - started) / 1000, labels);
    metrics.count("requests_finished_total", { model, reason });
  }
}

function countUsage(metrics: Metrics, model: string, { inputTokens, outputTokens }: Usage): void {
  metrics.count("prompt_tokens_total", { model, kind: "text" }, inputTokens.text);
  if (inputTokens.image > 0)
    metrics.count("prompt_tokens_total", { model, kind: "image" }, inputTokens.image);
  metrics.count("prompt_tokens_cached_total", { model }, inputTokens.cached);
  metrics.count("generated_tokens_total", { model }, outputTokens);
}

function observeTimings(metrics: Metrics, model: string, usage: Usage, timings: Timings): void {
  const observe = (name: string, milliseconds: number): void =>
    metrics.observe(name, milliseconds / 1000, { model });
  observe("request_queue_seconds", timings.queueMs);
  observe("request_prefill_seconds", timings.prefillMs);
  if (usage.inputTokens.image > 0) {
    observe("media_decode_seconds", timings.decodeMs);
    observe("image_encode_seconds", timings.encodeMs);
  }
  if (usage.outputTokens > 0 && timings.generateMs > 0) {
    const rate = usage.outputTokens / (timings.generateMs / 1000);
    metrics.observe("generation_tokens_per_second", rate, { model });
  }
}
