import type { RowPlaces } from "../encoders/picture-layout.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Usage } from "../spec/stream.ts";
import type { Generation, GenerationSettings } from "./generation.ts";
import type { KvSequence } from "./kv-cache.ts";
import type { PromptLayout } from "./prompt-layout.ts";
import type { EncodedImageFacts, EnginePart, EngineTimings } from "./protocol.ts";

/** What the scheduler is asked to do: read a prompt, then choose tokens, or give the state after it. */
export interface AnswerRequest {
  /** Whom it is for: the queue is fair between clients, and each is a tenant of the caches. */
  client: string;
  layout: PromptLayout;
  images: readonly RgbImage[];
  /** How to choose tokens; `state`: choose none, give the last layer's state after the prompt. */
  goal: Omit<GenerationSettings, "history"> | "state";
  signal: AbortSignal;
  emit: (part: EnginePart) => void;
}

/** One request inside the scheduler, from its first unit to its last token. */
export interface Answer extends AnswerRequest {
  /** Rows of the picture that is being read. */
  reading: { rows: Float32Array; places: RowPlaces | undefined; done: number } | undefined;
  /** Undefined until it is its turn. */
  sequence: KvSequence | undefined;
  /** Whether the caches were asked for the beginning of its prompt. */
  prefixKnown: boolean;
  generation: Generation | undefined;
  /** Chosen, and to be read next. */
  pending: number | undefined;
  /** Pictures whose receipt is out. */
  receipts: Set<number>;
  state: Float32Array | undefined; // (stateLength) float32
  timings: EngineTimings;
  usage: Usage;
  submittedAt: number;
  generatingSince: number;
  settle: { resolve: () => void; reject: (error: unknown) => void };
}

/** Tells what became of a picture, once. */
export function tellReceipt(answer: Answer, index: number, facts: EncodedImageFacts): void {
  if (answer.receipts.has(index)) return;
  answer.receipts.add(index);
  answer.emit({ type: "image", index, facts });
}
