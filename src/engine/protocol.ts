import type { PromptVariables } from "../chat/build-prompt.ts";
import type { ChatMessage } from "../chat/chat-message.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { SerializedError } from "../spec/errors.ts";
import type { ImagePart } from "../spec/message.ts";
import type { Embeddings, EngineStats, ModelInfo, StreamRequest } from "../spec/model.ts";
import type { Compatibility, EncoderPrecision, GenerationOptions } from "../spec/options.ts";
import type { MediaReceipt, MediaStep } from "../spec/receipt.ts";
import type { FinishReason, ProgressPart, Timings, TokenLogprob, Usage } from "../spec/stream.ts";

/** Messages between the host and the engine process. Every request has an id; replies carry it. */
export type EngineRequest =
  | { type: "load"; options: EngineLoadOptions }
  | { type: "generate"; id: number; request: GenerateRequest }
  | { type: "embed"; id: number; request: EmbedRequest }
  | { type: "count"; id: number; request: PromptRequest }
  | { type: "inspect"; id: number; image: PromptImage }
  | { type: "stats"; id: number }
  | { type: "cancel"; id: number }
  /** Write what is to be kept, then end. */
  | { type: "close" };

export type EngineReply =
  | { type: "load-progress"; completed: number; total: number }
  | { type: "loaded"; info: ModelInfo; loadMs: number }
  | { type: "load-failed"; error: SerializedError }
  | { type: "part"; id: number; part: EnginePart }
  | { type: "generated"; id: number }
  | { type: "embedded"; id: number; result: EmbedResult }
  | { type: "counted"; id: number; tokens: PromptTokens }
  | { type: "inspected"; id: number; seen: EncodedImageFacts }
  | { type: "stats"; id: number; stats: EngineStats }
  | { type: "failed"; id: number; error: SerializedError };

/** Load options after the host resolved names, defaults and relative paths. */
export interface EngineLoadOptions {
  name: string;
  model: string;
  projector: string | undefined;
  /** All files of a split model in order, where their names do not say so. */
  splitFiles: readonly string[] | undefined;
  adapters: readonly string[];
  contextLength: number | undefined;
  parallel: number | "auto";
  diskCache: boolean;
  threads: number | undefined;
  encoderPrecision: EncoderPrecision;
  compat: Compatibility | undefined;
  template: string | undefined;
  fallbackTemplate: string | undefined;
  device: "cpu" | "auto";
}

/** A picture of a request, and how many rows it may take. */
export interface PromptImage extends Pick<ImagePart, "detail" | "maxTokens"> {
  image: RgbImage;
  name: string;
}

/** All that decides about a prompt. */
export interface PromptRequest {
  messages: readonly ChatMessage[];
  /** The pictures that messages name by number. */
  images: readonly PromptImage[];
  overflow: NonNullable<StreamRequest["overflow"]>;
  /** Most tokens of the answer; undefined or negative: as many as there is room for. */
  answerTokens?: number;
  prompt: PromptVariables;
}

export interface GenerateRequest extends PromptRequest {
  options: GenerationOptions;
  /** What the answer must be. */
  format: StreamRequest["format"] | undefined;
  logprobs: number | undefined;
  client: string;
}

export interface EmbedRequest {
  inputs: readonly { text?: string; image?: PromptImage }[];
  truncate: boolean;
  dimensions: number | undefined;
  client: string;
}

export interface EmbedResult {
  vectors: Float32Array[];
  usage: { total: number; text: number; image: number };
  /** Of the pictures, in order. */
  facts: EncodedImageFacts[];
}

export type PromptTokens = Embeddings["usage"];

/** What the encoder adds to a picture's receipt. */
export interface EncodedImageFacts extends Pick<MediaReceipt, "cachedIn"> {
  seen: { width: number; height: number };
  steps: readonly MediaStep[];
  tokens: number;
  cached: boolean;
}

export type EnginePart =
  | ProgressPart
  /** The end of the rendered prompt, before anything else. */
  | { type: "prompt"; end: string }
  | { type: "image"; index: number; facts: EncodedImageFacts }
  /** `tokens`: chosen so far. */
  | { type: "text"; delta: string; tokens: number; logprob?: TokenLogprob }
  | { type: "finish"; reason: FinishReason; usage: Usage; timings: EngineTimings; stopString?: string };

export type EngineTimings = Pick<Timings, "queueMs" | "restoreMs" | "encodeMs" | "prefillMs" | "generateMs">;
