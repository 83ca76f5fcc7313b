import type { ChatMessage } from "../chat/build-prompt.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { SerializedError } from "../spec/errors.ts";
import type { ModelInfo } from "../spec/model.ts";
import type { EncoderPrecision, GenerationOptions } from "../spec/options.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { FinishReason, ProgressPart, Timings, Usage } from "../spec/stream.ts";

/** Messages between the host and the engine process. Every request has an id; replies carry it. */
export type EngineRequest =
  | { type: "load"; options: EngineLoadOptions }
  | { type: "generate"; id: number; request: GenerateRequest }
  | { type: "inspect"; id: number; image: RgbImage }
  | { type: "cancel"; id: number };

export type EngineReply =
  | { type: "load-progress"; completed: number; total: number }
  | { type: "loaded"; info: ModelInfo; loadMs: number }
  | { type: "load-failed"; error: SerializedError }
  | { type: "part"; id: number; part: EnginePart }
  | { type: "inspected"; id: number; seen: EncodedImageFacts }
  | { type: "failed"; id: number; error: SerializedError };

/** Load options after the host resolved names, defaults and relative paths. */
export interface EngineLoadOptions {
  name: string;
  model: string;
  projector: string | undefined;
  contextLength: number | undefined;
  threads: number | undefined;
  encoderPrecision: EncoderPrecision;
  template: string | undefined;
  device: "cpu" | "auto";
}

export interface GenerateRequest {
  messages: readonly ChatMessage[];
  /** The pictures that messages name by number. */
  images: readonly RgbImage[];
  options: GenerationOptions;
}

/** What the encoder adds to a picture's receipt. */
export interface EncodedImageFacts {
  seen: { width: number; height: number };
  steps: readonly MediaStep[];
  tokens: number;
  cached: boolean;
}

export type EnginePart =
  | ProgressPart
  | { type: "image"; index: number; facts: EncodedImageFacts }
  | { type: "text"; delta: string }
  | { type: "finish"; reason: FinishReason; usage: Usage; timings: EngineTimings };

export type EngineTimings = Pick<Timings, "encodeMs" | "prefillMs" | "generateMs">;
