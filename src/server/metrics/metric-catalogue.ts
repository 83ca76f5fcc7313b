/** What a metric of the server is. Names are given without the prefix `mull_`. */
export interface MetricDefinition {
  type: "counter" | "gauge" | "histogram";
  help: string;
  /** Upper bounds of a histogram's buckets, ascending, without +Inf. Default: `SECONDS`. */
  buckets?: readonly number[];
}

/** A tenth of a millisecond to ten minutes: a cached answer of a small model, and a large picture on a slow machine. */
export const SECONDS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300, 600,
];

const TOKENS_PER_SECOND: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

const counter = (help: string): MetricDefinition => ({ type: "counter", help });
const gauge = (help: string): MetricDefinition => ({ type: "gauge", help });
const histogram = (help: string, buckets = SECONDS): MetricDefinition => ({
  type: "histogram",
  help,
  buckets,
});

export const METRICS: Readonly<Record<string, MetricDefinition>> = {
  http_requests_total: counter("HTTP requests by method, route and status; 499 is a client that went away."),
  http_request_duration_seconds: histogram("Time from a request's headers to the end of its answer."),
  http_connections: gauge("Open connections."),
  rejected_total: counter("Requests and connections that were refused, by reason."),

  requests_finished_total: counter(
    "Answers by model and by why they ended: stop, length, tool-calls, or an error's code.",
  ),
  time_to_first_token_seconds: histogram("Time until the first piece of an answer."),
  inter_token_latency_seconds: histogram("Time between two pieces of an answer."),
  request_duration_seconds: histogram("Time of a whole answer."),
  request_queue_seconds: histogram("Time that a request waited for its turn."),
  request_prefill_seconds: histogram("Time to read a prompt, without its pictures."),
  generation_tokens_per_second: histogram("Rate at which an answer was generated.", TOKENS_PER_SECOND),
  prompt_tokens_total: counter("Tokens of prompts, by kind: text or image."),
  prompt_tokens_cached_total: counter("Tokens of prompts that were in the KV cache already."),
  generated_tokens_total: counter("Tokens of answers."),
  images_total: counter("Pictures in requests."),
  image_cache_hits_total: counter("Pictures that did not need to be encoded, by where they were found."),
  image_encode_seconds: histogram("Time to encode the pictures of a request."),
  media_decode_seconds: histogram("Time to decode the pictures of a request."),

  models_loaded: gauge("Models in memory."),
  requests_running: gauge("Requests that the engine works on."),
  requests_waiting: gauge("Requests that wait for the engine."),
  requests_pending: gauge("Requests that the server has let in, waiting ones included."),
  parallel_requests: gauge("Requests that the engine can work on at the same time."),
  kv_cells: gauge("Tokens that the KV cache can hold."),
  kv_cells_used: gauge("Tokens that the KV cache holds."),
  kv_cache_usage_ratio: gauge("Used part of the KV cache, 0 to 1."),
  engine_resident_memory_bytes: gauge("Resident memory of the engine process."),
  engine_prompt_tokens_total: counter("Tokens of prompts that the engine has seen, cached ones included."),
  engine_cached_tokens_total: counter("Tokens of prompts that the engine found in its KV cache."),
  engine_generated_tokens_total: counter("Tokens that the engine has generated."),
  engine_encoded_images_total: counter("Pictures that the engine has encoded."),
  engine_encode_seconds_total: counter("Time that the engine has spent on encoding pictures."),
  engine_prefill_seconds_total: counter("Time that the engine has spent on reading prompts."),
  engine_generate_seconds_total: counter("Time that the engine has spent on generating."),

  process_resident_memory_bytes: gauge("Resident memory of the server process, without engines."),
  process_start_time_seconds: gauge("When the server was started, in seconds since 1970."),
  build_info: gauge("1, with the version as a label."),
};

/**
 * A metric under the name that dashboards and autoscalers of another server know.
 * `keep` names the labels that stay, and as what; series that differ only in others are added up.
 */
export interface MetricAlias {
  alias: string;
  of: string;
  keep?: Readonly<Record<string, string>>;
  /** Series that count: those whose labels have one of these values. Default: all. */
  only?: Readonly<Record<string, readonly string[]>>;
  /** The alias is the quotient of `of` and this. */
  dividedBy?: string;
  type?: MetricDefinition["type"];
}

const byModel = { model: "model_name" };

export const ALIASES: readonly MetricAlias[] = [
  { alias: "vllm:num_requests_running", of: "requests_running", keep: byModel },
  { alias: "vllm:num_requests_waiting", of: "requests_waiting", keep: byModel },
  { alias: "vllm:kv_cache_usage_perc", of: "kv_cache_usage_ratio", keep: byModel },
  { alias: "vllm:prompt_tokens_total", of: "prompt_tokens_total", keep: byModel },
  { alias: "vllm:generation_tokens_total", of: "generated_tokens_total", keep: byModel },
  { alias: "vllm:prefix_cache_queries_total", of: "prompt_tokens_total", keep: byModel },
  { alias: "vllm:prefix_cache_hits_total", of: "prompt_tokens_cached_total", keep: byModel },
  { alias: "vllm:mm_cache_queries_total", of: "images_total", keep: byModel },
  { alias: "vllm:mm_cache_hits_total", of: "image_cache_hits_total", keep: byModel },
  { alias: "vllm:time_to_first_token_seconds", of: "time_to_first_token_seconds", keep: byModel },
  { alias: "vllm:inter_token_latency_seconds", of: "inter_token_latency_seconds", keep: byModel },
  { alias: "vllm:e2e_request_latency_seconds", of: "request_duration_seconds", keep: byModel },
  { alias: "vllm:request_queue_time_seconds", of: "request_queue_seconds", keep: byModel },
  {
    alias: "vllm:request_success_total",
    of: "requests_finished_total",
    keep: { ...byModel, reason: "finished_reason" },
    only: { reason: ["stop", "length", "tool-calls"] },
  },
  { alias: "llamacpp:requests_processing", of: "requests_running" },
  { alias: "llamacpp:requests_deferred", of: "requests_waiting" },
  { alias: "llamacpp:kv_cache_usage_ratio", of: "kv_cells_used", dividedBy: "kv_cells" },
  { alias: "llamacpp:kv_cache_tokens", of: "kv_cells_used" },
  { alias: "llamacpp:prompt_tokens_total", of: "prompt_tokens_total" },
  { alias: "llamacpp:prompt_seconds_total", of: "engine_prefill_seconds_total" },
  { alias: "llamacpp:tokens_predicted_total", of: "generated_tokens_total" },
  { alias: "llamacpp:tokens_predicted_seconds_total", of: "engine_generate_seconds_total" },
  {
    alias: "llamacpp:prompt_tokens_seconds",
    of: "engine_prompt_tokens_total",
    dividedBy: "engine_prefill_seconds_total",
    type: "gauge",
  },
  {
    alias: "llamacpp:predicted_tokens_seconds",
    of: "engine_generated_tokens_total",
    dividedBy: "engine_generate_seconds_total",
    type: "gauge",
  },
  { alias: "process_resident_memory_bytes", of: "process_resident_memory_bytes" },
  { alias: "process_start_time_seconds", of: "process_start_time_seconds" },
];
