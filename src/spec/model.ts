import type { MediaReceipt } from "./receipt.ts";
import type { MediaSource, Message } from "./message.ts";
import type { GenerationOptions } from "./options.ts";
import type { StreamPart } from "./stream.ts";

export interface StreamRequest extends GenerationOptions {
  messages: readonly Message[];
  signal?: AbortSignal;
}

export interface AskOptions extends GenerationOptions {
  system?: string;
  signal?: AbortSignal;
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
  };
  /** Jinja source of the chat template in use, and where it came from: "gguf", a built-in name, or "option". */
  template: { source: string; origin: string };
  /** Absolute paths of its files. */
  files: { model: string; projector?: string };
  /** Size of all files on disk, in bytes. */
  fileBytes: number;
  license?: string;
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
  inspect(media: MediaSource, options?: { name?: string; signal?: AbortSignal }): Promise<MediaReceipt>;
  close(): Promise<void>;
}
