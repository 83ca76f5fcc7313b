import { describe, expect, it } from "vitest";
import {
  fakeContext,
  fakeModel,
  fakePool,
  FINISH,
  RECEIPT,
  say,
  STATS,
} from "../../test/support/fake-server.ts";
import { MullError } from "../spec/errors.ts";
import type { StreamPart } from "../spec/stream.ts";
import { createApp } from "./create-app.ts";
import { metricsRoutes } from "./metrics-route.ts";
import { ModelMetrics } from "./metrics/model-metrics.ts";
import { observeStream } from "./observe-stream.ts";
import { PrometheusMetrics } from "./prometheus-metrics.ts";

/** Values by series, as a Prometheus server reads them; fails on what it could not read. */
function read(text: string): Map<string, number> {
  const values = new Map<string, number>();
  const series =
    /^([a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})?) ([+-]?(?:Inf|[\d.e+-]+))$/;
  for (const line of text.split("\n").filter((any) => any !== "" && !/^# (?:HELP|TYPE) [\w:]+ /.test(any))) {
    const [, name, value] = series.exec(line) ?? [];
    if (name === undefined) throw new Error(`Cannot be read: ${line}`);
    if (values.has(name)) throw new Error(`Twice: ${name}`);
    values.set(name, Number(value));
  }
  return values;
}

describe("the text format", () => {
  it("prints counters and gauges with help, type and labels", () => {
    const metrics = new PrometheusMetrics();
    metrics.count("rejected_total", { reason: "server_busy" });
    metrics.count("rejected_total", { reason: "server_busy" }, 2);
    metrics.gauge("models_loaded", 3);
    metrics.gauge("models_loaded", 2);
    expect(metrics.print()).toBe(
      "# HELP mull_rejected_total Requests and connections that were refused, by reason.\n" +
        "# TYPE mull_rejected_total counter\n" +
        'mull_rejected_total{reason="server_busy"} 3\n' +
        "# HELP mull_models_loaded Models in memory.\n" +
        "# TYPE mull_models_loaded gauge\n" +
        "mull_models_loaded 2\n",
    );
  });

  it("prints histograms with cumulated buckets", () => {
    const metrics = new PrometheusMetrics();
    for (const value of [0.001, 0.003, 0.004, 1000])
      metrics.observe("request_queue_seconds", value, { model: "m" });
    const values = read(metrics.print());
    const bucket = (le: string): unknown =>
      values.get(`mull_request_queue_seconds_bucket{le="${le}",model="m"}`);
    expect([bucket("0.001"), bucket("0.0025"), bucket("0.005"), bucket("600"), bucket("+Inf")]).toEqual([
      1, 1, 3, 3, 4,
    ]);
    expect(values.get('mull_request_queue_seconds_count{model="m"}')).toBe(4);
    expect(values.get('mull_request_queue_seconds_sum{model="m"}')).toBeCloseTo(1000.008);
    expect(values.get('vllm:request_queue_time_seconds_count{model_name="m"}')).toBe(4);
  });

  it("escapes labels, and holds a bounded number of them", () => {
    const metrics = new PrometheusMetrics();
    metrics.count("x_total", { a: 'q"\\\n' });
    expect(metrics.print()).toContain(String.raw`mull_x_total{a="q\"\\\n"} 1`);
    for (let index = 0; index < 5000; index++) metrics.count("x_total", { a: String(index) });
    expect(read(metrics.print()).size).toBeLessThanOrEqual(2000);
  });

  it("refuses to mix types", () => {
    const metrics = new PrometheusMetrics();
    expect(() => metrics.gauge("rejected_total", 1)).toThrow(TypeError);
    expect(() => metrics.count("no name")).toThrow(TypeError);
  });
});

async function observe(
  parts: Iterable<StreamPart> | AsyncIterable<StreamPart>,
  take = Infinity,
): Promise<Map<string, number>> {
  const metrics = new PrometheusMetrics();
  const source = (async function* () {
    yield* parts;
  })();
  let taken = 0;
  try {
    for await (const _ of observeStream(metrics, "pico:latest", source)) if (++taken >= take) break;
  } catch {
    // It is counted.
  }
  return read(metrics.print());
}

describe("an answer", () => {
  it("is passed on as it is", async () => {
    const source = (async function* () {
      yield* say("a", "b");
    })();
    const passed: StreamPart[] = [];
    for await (const part of observeStream(new PrometheusMetrics(), "m", source)) passed.push(part);
    expect(passed).toEqual([...say("a", "b")]);
  });

  it("counts pieces, tokens, cached pictures and its end", async () => {
    const values = await observe([
      { type: "media", receipt: { ...RECEIPT, cachedIn: "rows" } },
      { type: "media", receipt: RECEIPT },
      ...say("a", "b", "c"),
    ]);
    const value = (name: string, labels = ""): unknown =>
      values.get(`mull_${name}{${labels}model="pico:latest"}`);
    expect(value("time_to_first_token_seconds_count")).toBe(1);
    expect(value("inter_token_latency_seconds_count")).toBe(2);
    expect(value("prompt_tokens_total", 'kind="image",')).toBe(36);
    expect(value("prompt_tokens_total", 'kind="text",')).toBe(4);
    expect(value("prompt_tokens_cached_total")).toBe(30);
    expect(value("generated_tokens_total")).toBe(5);
    expect(value("images_total")).toBe(2);
    expect(values.get('mull_image_cache_hits_total{model="pico:latest",place="rows"}')).toBe(1);
    expect(value("image_encode_seconds_sum")).toBeCloseTo(0.003);
    expect(value("media_decode_seconds_sum")).toBeCloseTo(0.002);
    expect(value("generation_tokens_per_second_sum")).toBeCloseTo(100);
    expect(values.get('mull_requests_finished_total{model="pico:latest",reason="stop"}')).toBe(1);
    expect(values.get('vllm:prompt_tokens_total{model_name="pico:latest"}')).toBe(40);
    expect(values.get('vllm:request_success_total{finished_reason="stop",model_name="pico:latest"}')).toBe(1);
    expect(values.get("llamacpp:prompt_tokens_total")).toBe(40);
    expect(values.get("llamacpp:tokens_predicted_total")).toBe(5);
  });

  it("counts how it failed, or that it was left", async () => {
    const fails = (async function* (): AsyncGenerator<StreamPart> {
      yield { type: "text-start", id: "0" };
      throw new MullError("engine_crashed", "");
    })();
    const reason = (name: string): string =>
      `mull_requests_finished_total{model="pico:latest",reason="${name}"}`;
    expect((await observe(fails)).get(reason("engine_crashed"))).toBe(1);
    expect((await observe(say("a", "b"), 2)).get(reason("aborted"))).toBe(1);
    expect((await observe([FINISH])).get(reason("stop"))).toBe(1);
  });
});

describe("/metrics", () => {
  it("has what the engines say, also under the names of vLLM and llama.cpp", async () => {
    const metrics = new PrometheusMetrics();
    const server = fakeContext({
      metrics,
      admission: { enter: () => () => {}, pending: new Map([["pico:latest", 3]]) },
    });
    const app = createApp(server, [metricsRoutes]);
    await app.request("/metrics");
    const response = await app.request("/metrics");
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const values = read(await response.text());
    expect(values.get('vllm:num_requests_running{model_name="pico:latest"}')).toBe(1);
    expect(values.get('vllm:num_requests_waiting{model_name="pico:latest"}')).toBe(2);
    expect(values.get('vllm:kv_cache_usage_perc{model_name="pico:latest"}')).toBe(0.25);
    expect(values.get('mull_engine_resident_memory_bytes{model="pico:latest"}')).toBe(12_345_678);
    expect(values.get('mull_engine_encode_seconds_total{model="pico:latest"}')).toBe(0.5);
    expect(values.get('mull_requests_pending{model="pico:latest"}')).toBe(3);
    expect(values.get("llamacpp:prompt_tokens_seconds")).toBe(400);
    expect(values.get('mull_http_requests_total{method="GET",route="/metrics",status="200"}')).toBe(1);
    expect(values.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
  });

  it("goes on counting when an engine is started anew, and forgets models that are gone", async () => {
    const metrics = new PrometheusMetrics();
    let generatedTokens = 10;
    const model = { ...fakeModel(), stats: async () => ({ ...STATS, generatedTokens }) };
    const pool = fakePool(model);
    let loaded = pool.loaded();
    const models = new ModelMetrics(fakeContext({ metrics, models: { ...pool, loaded: () => loaded } }));
    const name = 'mull_engine_generated_tokens_total{model="pico:latest"}';
    await models.collect();
    generatedTokens = 15;
    await models.collect();
    expect(read(metrics.print()).get(name)).toBe(15);
    generatedTokens = 4;
    await models.collect();
    expect(read(metrics.print()).get(name)).toBe(19);
    loaded = [];
    await models.collect();
    const values = read(metrics.print());
    expect(values.get(name)).toBe(19);
    expect(values.get('mull_requests_running{model="pico:latest"}')).toBe(0);
    expect(values.get("mull_models_loaded")).toBe(0);
  });

  it("does not wait for an engine that is busy or broken", async () => {
    for (const stats of [() => new Promise<never>(() => {}), () => Promise.reject(new Error("broken"))]) {
      const metrics = new PrometheusMetrics();
      const server = fakeContext({ metrics, models: fakePool({ ...fakeModel(), stats }) });
      await new ModelMetrics(server, 5).collect();
      expect(read(metrics.print()).get("mull_models_loaded")).toBe(1);
    }
  });
});
