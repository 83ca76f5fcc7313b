import { PassThrough } from "node:stream";
import type { CliContext, InputStream, OutputStream } from "../../src/cli/cli-context.ts";
import { runCli } from "../../src/cli/run-cli.ts";
import { MullError } from "../../src/spec/errors.ts";
import type { Message } from "../../src/spec/message.ts";
import type { EngineStats, Model, ModelInfo, StreamRequest } from "../../src/spec/model.ts";
import type { LoadOptions } from "../../src/spec/options.ts";
import type { MediaReceipt } from "../../src/spec/receipt.ts";
import type { StreamPart } from "../../src/spec/stream.ts";

/** How the model answers a request: parts, then the end or an error. */
export type Answer = (request: StreamRequest) => AsyncIterable<StreamPart> | Iterable<StreamPart>;

export interface HarnessOptions {
  /** Whether stdin, stdout and stderr are a terminal. Default: none is. */
  terminal?: boolean;
  /** What is piped in. Default: nothing. */
  stdin?: string | Uint8Array;
  env?: NodeJS.ProcessEnv;
  answer?: Answer;
  info?: Partial<ModelInfo>;
  /** Names of models that can be loaded, besides pico and files. */
  models?: readonly string[];
  /** A context length that there is no memory for. */
  refuseContext?: number;
}

/** A user, a terminal and a model, all made of plain objects, around one run of the command. */
export class CliHarness {
  readonly stdin: PassThrough & InputStream;
  readonly stdout: PassThrough & OutputStream = new PassThrough();
  readonly stderr: PassThrough & OutputStream = new PassThrough();
  readonly stop: AbortController = new AbortController();
  /** Everything that the model was asked. */
  readonly requests: StreamRequest[] = [];
  /** Every call of `load`. */
  readonly loads: LoadOptions[] = [];
  closed = 0;
  answer: Answer;
  info: ModelInfo;
  readonly #env: NodeJS.ProcessEnv;
  readonly #models: readonly string[];
  readonly #refuseContext: number | undefined;
  #out = "";
  #err = "";

  constructor(options: HarnessOptions = {}) {
    this.stdin = new PassThrough();
    if (options.terminal === true) {
      for (const stream of [this.stdin, this.stdout, this.stderr]) stream.isTTY = true;
      for (const stream of [this.stdout, this.stderr]) Object.assign(stream, { columns: 60, rows: 20 });
      this.stdin.setRawMode = () => {};
    } else {
      this.stdin.end(options.stdin ?? "");
    }
    this.stdout.setEncoding("utf8").on("data", (text: string) => (this.#out += text));
    this.stderr.setEncoding("utf8").on("data", (text: string) => (this.#err += text));
    this.#env = {
      XDG_STATE_HOME: "/nonexistent/state",
      XDG_DATA_HOME: "/nonexistent/data",
      HOME: "/nonexistent/home",
      MULL_MODELS: "/nonexistent/models",
      MULL_OFFLINE: "1",
      // Nothing listens there: a server of whoever runs the tests is left alone.
      MULL_HOST: "127.0.0.1:1",
      ...options.env,
    };
    this.answer = options.answer ?? (() => say("A yellow smiley face."));
    this.#models = options.models ?? [];
    this.#refuseContext = options.refuseContext;
    this.info = { ...INFO, ...options.info };
  }

  get out(): string {
    return this.#out;
  }

  get err(): string {
    return this.#err;
  }

  get context(): CliContext {
    return {
      stdin: this.stdin,
      stdout: this.stdout,
      stderr: this.stderr,
      env: this.#env,
      signal: this.stop.signal,
      load: async (options) => {
        this.loads.push(options);
        const { model = "pico" } = options;
        if (!["pico", ...this.#models].includes(model) && !model.endsWith(".gguf")) {
          throw new MullError("model_not_found", `There is no model called "${model}".`);
        }
        if (options.contextLength !== undefined && options.contextLength === this.#refuseContext) {
          throw new MullError("out_of_memory", "There is no memory");
        }
        return this.#model();
      },
    };
  }

  run(...args: string[]): Promise<number> {
    return runCli(args, this.context);
  }

  /** Types into the terminal and lets the command react. */
  async type(keys: string): Promise<void> {
    this.stdin.write(keys);
    await settle();
  }

  /** The last question, as text and number of pictures. */
  get lastQuestion(): { text: string; pictures: number } {
    return describe(this.requests.at(-1)?.messages.at(-1));
  }

  #model(): Model {
    const close = async (): Promise<void> => void (this.closed += 1);
    const stream = async function* (this: CliHarness, request: StreamRequest): AsyncGenerator<StreamPart> {
      this.requests.push(request);
      yield* this.answer(request);
    };
    return {
      info: this.info,
      enginePid: undefined,
      stream: stream.bind(this),
      ask: async () => "",
      inspect: async (_, options) => ({ ...RECEIPT, name: options?.name ?? "image 1" }),
      embed: async () => ({ vectors: [], usage: { total: 0, text: 0, image: 0 }, receipts: [] }),
      countTokens: async () => ({ total: 40, text: 4, image: 36 }),
      stats: async () => STATS,
      close,
      [Symbol.asyncDispose]: close,
    };
  }
}

export function describe(message: Message | undefined): { text: string; pictures: number } {
  const content = message?.content ?? "";
  if (typeof content === "string") return { text: content, pictures: 0 };
  const texts = content.flatMap((part) => (part.type === "text" ? [part.text] : []));
  return { text: texts.join(""), pictures: content.length - texts.length };
}

/** Waits until something has happened. @throws Error when it does not happen */
export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2000; turn++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`Waited in vain for ${condition.toString()}`);
}

/** Gives keys that were typed time to arrive: streams pass data on in several turns of the event loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
}

export function* say(...deltas: string[]): Generator<StreamPart> {
  yield { type: "text-start", id: "0" };
  for (const delta of deltas) yield { type: "text-delta", id: "0", delta };
  yield { type: "text-end", id: "0" };
  yield FINISH;
}

/** Says something and then goes on for ever, until it is stopped. */
export function endless(...deltas: string[]): Answer {
  return async function* ({ signal }) {
    yield { type: "text-start", id: "0" };
    for (const delta of deltas) yield { type: "text-delta", id: "0", delta };
    await new Promise((_, reject) => {
      const fail = (): void => reject(new MullError("aborted", "The request was cancelled."));
      if (signal?.aborted === true) fail();
      signal?.addEventListener("abort", fail);
    });
  };
}

export const FINISH: StreamPart = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 40, text: 4, image: 36, cached: 0 }, outputTokens: 6 },
  timings: {
    loadMs: 100,
    queueMs: 0,
    restoreMs: 0,
    decodeMs: 5,
    encodeMs: 20,
    prefillMs: 40,
    generateMs: 60,
    firstTokenMs: 170,
    totalMs: 230,
  },
};

export const RECEIPT: MediaReceipt = {
  kind: "image",
  name: "./smile.png",
  format: "png",
  bytes: 52_100,
  sha256: "0".repeat(64),
  original: { width: 640, height: 480 },
  steps: [
    { action: "padded", width: 640, height: 640, colour: [122, 116, 104] },
    { action: "resized", width: 96, height: 96, filter: "bicubic, antialiased" },
  ],
  seen: { width: 96, height: 96 },
  tokens: 36,
  cached: false,
};

export const STATS: EngineStats = {
  running: 0,
  waiting: 0,
  parallel: 1,
  contextCells: 512,
  usedCells: 0,
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  encodedImages: 0,
  cachedImages: { context: 0, snapshot: 0, rows: 0 },
  encodeSeconds: 0,
  prefillSeconds: 0,
  generateSeconds: 0,
  residentBytes: 0,
};

export const INFO: ModelInfo = {
  name: "pico",
  architecture: "llama",
  parameters: 12_300_000,
  quantization: "F16",
  contextLength: 512,
  trainedContextLength: 512,
  parallel: 1,
  capabilities: ["completion", "vision"],
  embeddingLength: 256,
  input: ["text", "image"],
  output: ["text"],
  encoder: { projector: "mlp", imageSize: 96, tokensPerImage: 36, precision: "f32" },
  template: { source: "{{ messages }}", origin: "gguf" },
  fileBytes: 30_000_000,
  license: "MIT",
  files: { model: "/models/pico.gguf", projector: "/models/pico-mmproj.gguf" },
  device: "CPU",
  threads: 2,
};

/** The smallest PNG: 1x1, one grey pixel. */
export const PNG: Uint8Array = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
  "base64",
);
