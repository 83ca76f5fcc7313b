import { openStore } from "../../src/store/open-store.ts";
import type { Admission } from "../../src/server/admission.ts";
import type { Logger } from "../../src/server/logger.ts";
import type { MediaStore } from "../../src/server/media-store.ts";
import type { Metrics } from "../../src/server/metrics.ts";
import type { CatalogEntry, LoadedModel, ModelPool } from "../../src/server/model-pool.ts";
import type { ServerContext } from "../../src/server/server-context.ts";
import type { ServerOptions } from "../../src/server/server-options.ts";
import { MullError } from "../../src/spec/errors.ts";
import type { EngineStats, Model, ModelInfo, StreamRequest } from "../../src/spec/model.ts";
import type { MediaReceipt } from "../../src/spec/receipt.ts";
import type { StreamPart } from "../../src/spec/stream.ts";

export const OPTIONS: ServerOptions = {
  host: "127.0.0.1",
  port: 0,
  apiKeys: [],
  allowedHosts: [],
  allowedOrigins: [],
  allowUrls: false,
  models: {},
  parallel: 1,
  contextLength: undefined,
  maxQueue: 512,
  maxPerClient: 64,
  maxLoadedModels: 3,
  keepAliveMs: 300_000,
  requestTimeoutMs: 600_000,
  maxBodyBytes: 64 * 1024 ** 2,
  maxImages: 16,
  maxTokens: undefined,
  drainMs: 10_000,
};

export const INFO: ModelInfo = {
  name: "pico",
  architecture: "llama",
  parameters: 618_801,
  quantization: "Q8_0",
  contextLength: 512,
  trainedContextLength: 512,
  parallel: 1,
  capabilities: ["completion", "vision"],
  embeddingLength: 64,
  input: ["text", "image"],
  output: ["text"],
  encoder: { projector: "mlp", imageSize: 48, tokensPerImage: 36, precision: "f32" },
  template: { source: "", origin: "gguf" },
  files: { model: "/home/alice/models/pico.gguf", projector: "/home/alice/models/mmproj.gguf" },
  fileBytes: 1_000_000,
  device: "CPU",
  threads: 1,
};

export const STATS: EngineStats = {
  running: 1,
  waiting: 2,
  parallel: 4,
  contextCells: 2048,
  usedCells: 512,
  promptTokens: 100,
  cachedTokens: 40,
  generatedTokens: 50,
  encodedImages: 3,
  cachedImages: { context: 1, snapshot: 0, rows: 2 },
  encodeSeconds: 0.5,
  prefillSeconds: 0.25,
  generateSeconds: 1.5,
  residentBytes: 12_345_678,
};

export const RECEIPT: MediaReceipt = {
  kind: "image",
  name: "image 1",
  format: "png",
  bytes: 67,
  sha256: "0".repeat(64),
  original: { width: 1, height: 1 },
  steps: [],
  tokens: 36,
};

export const FINISH: StreamPart = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 40, text: 4, image: 36, cached: 30 }, outputTokens: 5 },
  timings: {
    loadMs: 0,
    queueMs: 1,
    restoreMs: 0,
    decodeMs: 2,
    encodeMs: 3,
    prefillMs: 4,
    generateMs: 50,
    firstTokenMs: 10,
    totalMs: 60,
  },
};

/** How a fake model answers: parts, then the end or an error. */
export type FakeAnswer = (request: StreamRequest) => AsyncIterable<StreamPart> | Iterable<StreamPart>;

export function* say(...deltas: string[]): Generator<StreamPart> {
  yield { type: "text-start", id: "0" };
  for (const delta of deltas) yield { type: "text-delta", id: "0", delta };
  yield { type: "text-end", id: "0" };
  yield FINISH;
}

export function fakeModel(answer: FakeAnswer = () => say("Hello", " there.")): Model {
  return {
    info: INFO,
    enginePid: undefined,
    async *stream(request) {
      yield* answer(request);
    },
    ask: async () => "",
    inspect: async (_, options) => ({ ...RECEIPT, name: options?.name ?? "image 1" }),
    embed: async () => ({ vectors: [], usage: { total: 0, text: 0, image: 0 }, receipts: [] }),
    countTokens: async () => ({ total: 40, text: 4, image: 36 }),
    stats: async () => STATS,
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A pool with one model, "pico:latest", which is always loaded. */
export function fakePool(model: Model = fakeModel()): ModelPool {
  const entry: CatalogEntry = {
    name: "pico:latest",
    load: { model: "pico" },
    bytes: 1_000_000,
    modifiedAt: new Date(0),
    digest: "0".repeat(64),
  };
  const loaded: LoadedModel = { entry, info: model.info, expiresAt: undefined, leases: 0, model };
  const find = async (name: string): Promise<CatalogEntry> => {
    if (name === "pico" || name === "pico:latest") return entry;
    throw new MullError("model_not_found", `model '${name}' not found`);
  };
  return {
    list: async () => [entry],
    find,
    acquire: async (name) => {
      await find(name);
      loaded.leases += 1;
      return { model, entry, loadMs: 0, release: () => void (loaded.leases -= 1) };
    },
    loaded: () => [loaded],
    unload: async () => true,
    remove: async () => {},
    requireFree: async () => {},
    close: async () => {},
  };
}

export interface LogLine {
  level: keyof Logger;
  message: string;
  fields: Readonly<Record<string, unknown>>;
}

export interface FakeServer extends ServerContext {
  lines: LogLine[];
  /** Counters by name and labels, as "name{label=value}". */
  counts: Map<string, number>;
}

/** A server's context made of plain objects; give what the test is about. */
export function fakeContext(
  given: Partial<Omit<ServerContext, "options">> & { options?: Partial<ServerOptions> } = {},
): FakeServer {
  const lines: LogLine[] = [];
  const counts = new Map<string, number>();
  const logAt =
    (level: keyof Logger) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void lines.push({ level, message, fields });
  const log: Logger = {
    debug: logAt("debug"),
    info: logAt("info"),
    warn: logAt("warn"),
    error: logAt("error"),
  };
  const metrics: Metrics = {
    count: (name, labels = {}, by = 1) => {
      const key = `${name}{${Object.entries(labels)
        .map(([label, value]) => `${label}=${value}`)
        .join(",")}}`;
      counts.set(key, (counts.get(key) ?? 0) + by);
    },
    gauge: () => {},
    observe: () => {},
    print: () => "",
  };
  const admission: Admission = { enter: () => () => {}, pending: new Map() };
  const media: MediaStore = {
    put: (_, bytes) => ({ sha256: "0".repeat(64), bytes, expiresAt: new Date(0) }),
    get: () => undefined,
  };
  return {
    models: fakePool(),
    store: openStore({ root: "/nonexistent/store", readOnly: true }),
    env: {},
    admission,
    media,
    metrics,
    log,
    ...given,
    options: { ...OPTIONS, ...given.options },
    lines,
    counts,
  };
}
