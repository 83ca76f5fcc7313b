import type { MediaReceipt } from "./receipt.ts";
import type { ImagePart, MediaSource, Message } from "./message.ts";
import type { Compatibility, GenerationOptions } from "./options.ts";
import type { StreamPart, Usage } from "./stream.ts";
import type { JsonSchema, Tool, ToolChoice } from "./tool.ts";

export interface StreamRequest extends GenerationOptions {
  messages: readonly Message[];
  /** The contents are the prompt as they stand: no template, and special tokens in them count. Default false. */
  raw?: boolean;
  tools?: readonly Tool[];
  /** Default `auto`. */
  toolChoice?: ToolChoice;
  /** The answer is JSON, or JSON that fits a schema; a grammar makes sure of it. Default: free text. */
  format?: "json" | JsonSchema;
  /** Whether, or how hard, a model that can think does so first. Default: as its template says. */
  think?: boolean | "low" | "medium" | "high" | "max";
  /** Log probabilities of the chosen tokens, with this many alternatives each, 0..20. Default: none. */
  logprobs?: number;
  /** What to do when pictures make the prompt longer than the context: fail, or give each fewer rows. */
  overflow?: "error" | "shrink";
  /** Whom the request is for: requests are fair between clients, and caches never shared. Default: one for all. */
  client?: string;
  signal?: AbortSignal;
}

export interface InspectOptions extends Pick<ImagePart, "name" | "detail" | "maxTokens"> {
  client?: string;
  signal?: AbortSignal;
}

/** One thing to embed: text, a picture, or a picture with words about it. */
export type EmbedInput = string | { text?: string; image?: MediaSource; name?: string };

export interface EmbedOptions {
  /** Shorten what is longer than the context; false: fail with `context_overflow`. Default true. */
  truncate?: boolean;
  /** Keep this many first dimensions. Default: all. */
  dimensions?: number;
  client?: string;
  signal?: AbortSignal;
}

export interface Embeddings {
  /** One unit vector per input: (dimensions) float32, in the order given. */
  vectors: readonly Float32Array[];
  usage: Pick<Usage["inputTokens"], "total" | "text" | "image">;
  /** Of the pictures, in the order given. */
  receipts: readonly MediaReceipt[];
}

/** What an engine is doing now and did since it was started. Counters only grow. */
export interface EngineStats {
  running: number;
  waiting: number;
  parallel: number;
  /** Tokens that the KV cache can hold, and holds. */
  contextCells: number;
  usedCells: number;
  promptTokens: number;
  cachedTokens: number;
  generatedTokens: number;
  /** Pictures that were encoded, and that were found encoded, by place. */
  encodedImages: number;
  cachedImages: { context: number; snapshot: number; rows: number };
  encodeSeconds: number;
  prefillSeconds: number;
  generateSeconds: number;
  /** Resident memory of the engine process, in bytes. */
  residentBytes: number;
}

export interface AskOptions extends GenerationOptions {
  system?: string;
  signal?: AbortSignal;
}

export type Capability = "completion" | "vision" | "tools" | "thinking" | "embedding";

/** What goes into every request of a model that does not say otherwise. */
export interface ModelDefaults {
  system?: string;
  generation?: GenerationOptions;
  /** Before the messages of the request. */
  messages?: readonly Message[];
}

/** Facts of a loaded model. */
export interface ModelInfo {
  name: string;
  /** `general.architecture` of the text model, such as "llama". */
  architecture: string;
  parameters: number;
  /** Name of the weight type that holds most of the text model, such as "Q4_0". */
  quantization: string;
  contextLength: number;
  /** Context length the model was trained for. */
  trainedContextLength: number;
  /** Requests that are worked on at the same time. */
  parallel: number;
  /** In the words of Ollama: what can be asked of it. */
  capabilities: readonly Capability[];
  /** Width of a context row. */
  embeddingLength: number;
  /** Modalities that can go in and come out. */
  input: readonly ("text" | "image")[];
  output: readonly "text"[];
  encoder?: {
    /** Projector type, such as "mlp". */
    projector: string;
    /** Side of the square that a picture is brought to, in pixels. */
    imageSize: number;
    /** Rows of the context that one picture takes. */
    tokensPerImage: number;
    /** Type that the weights were re-quantised to, and why, when it was chosen by `auto`. */
    precision: string;
    /** Program whose deviations from the model's own code are reproduced; see `LoadOptions.compat`. */
    compat?: Compatibility;
  };
  /** Source of the chat template in use, and where it came from: "gguf", "manifest", a built-in name, or "option". */
  template: { source: string; origin: string };
  /** Absolute paths of its files. */
  files: { model: string; projector?: string; adapters?: readonly string[] };
  /** Size of all files on disk, in bytes. */
  fileBytes: number;
  license?: string;
  /** What was set for the model when it was made: used where a request says nothing else. */
  defaults?: ModelDefaults;
  /** Device that computes, such as "CPU" or "CUDA0". */
  device: string;
  /** Threads of the CPU that compute. */
  threads: number;
}

/**
 * A model that answers. Requests may overlap; each gets its own stream.
 * `close()` ends the processes behind it; requests in flight then fail with `closed`.
 */
export interface Model extends AsyncDisposable {
  readonly info: ModelInfo;
  /** Process id of the engine, for whoever measures or supervises it. Changes when it is started anew. */
  readonly enginePid: number | undefined;
  /** One question about any number of pictures; resolves with the whole answer. */
  ask(question: string, ...media: (MediaSource | AskOptions)[]): Promise<string>;
  /** Nothing happens until the stream is iterated; leaving the loop cancels the request. */
  stream(request: StreamRequest): AsyncIterable<StreamPart>;
  /** What the model would see of this picture, without asking it. */
  inspect(media: MediaSource, options?: InspectOptions): Promise<MediaReceipt>;
  /**
   * Vectors of texts and pictures in one space: pooled as an embedding model's file says; of a generative model the
   * last token's state after E5-V's prompt (arXiv 2407.12580).
   */
  embed(inputs: readonly EmbedInput[], options?: EmbedOptions): Promise<Embeddings>;
  /** Tokens that a request's prompt takes, without asking it. */
  countTokens(request: StreamRequest): Promise<Pick<Usage["inputTokens"], "total" | "text" | "image">>;
  stats(): Promise<EngineStats>;
  close(): Promise<void>;
}
