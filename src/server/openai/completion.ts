import { z } from "@hono/zod-openapi";
import type { StreamPart, TokenLogprob, Usage } from "../../spec/stream.ts";
import type { Answer } from "./answer.ts";
import { headFields, type CompletionHead } from "./completion-head.ts";
import { toFinite } from "./logprobs.ts";
import { toWireUsage, wireUsage, type WireUsage } from "./usage.ts";

interface WireLogprobs {
  tokens: string[];
  token_logprobs: number[];
  /** The chosen token is always among them. */
  top_logprobs: Record<string, number>[];
  /** Where each token begins in the text, in UTF-16 units. */
  text_offset: number[];
}

interface Choice {
  index: number;
  text: string;
  logprobs: WireLogprobs | null;
  finish_reason: "stop" | "length" | null;
}

/** A whole completion, or one chunk of it: they look alike. */
export interface Completion extends CompletionHead {
  object: "text_completion";
  choices: Choice[];
  usage?: WireUsage | null;
}

export interface CompletionShape {
  /** Answers per prompt: answer i is to prompt i / n. */
  n: number;
  /** What each answer begins with: its prompt if `echo`, else nothing. One per answer. */
  begins: readonly string[];
  withLogprobs: boolean;
}

export function completion(
  head: CompletionHead,
  answers: readonly Answer[],
  { n, begins, withLogprobs }: CompletionShape,
): Completion {
  return {
    ...head,
    object: "text_completion",
    choices: answers.map((answer, index) => ({
      index,
      text: begins[index]! + answer.reasoning + answer.text,
      logprobs: withLogprobs ? toWireLogprobs(answer.logprobs, 0) : null,
      finish_reason: answer.reason === "length" ? "length" : "stop",
    })),
    usage: toWireUsage(
      groupsOf(
        n,
        answers.map(({ usage }) => usage),
      ),
    ),
  };
}

/** The parts of one or several answers → chunks. `push` for each part, `end` after the last. */
export class CompletionChunks {
  readonly #head: CompletionHead;
  readonly #shape: CompletionShape;
  readonly #includeUsage: boolean;
  /** Length of the text so far, by choice. */
  readonly #lengths = new Map<number, number>();
  readonly #usages: Usage[] = [];

  constructor(head: CompletionHead, shape: CompletionShape, includeUsage: boolean) {
    this.#head = head;
    this.#shape = shape;
    this.#includeUsage = includeUsage;
  }

  push(index: number, part: StreamPart): Completion[] {
    if (part.type === "text-delta" || part.type === "reasoning-delta") {
      const logprobs = part.type === "text-delta" ? part.logprobs : undefined;
      return [...this.#begin(index), this.#text(index, part.delta, logprobs)];
    }
    if (part.type !== "finish") return [];
    this.#usages[index] = part.usage;
    const reason = part.reason === "length" ? "length" : "stop";
    return [...this.#begin(index), this.#chunk({ index, text: "", logprobs: null, finish_reason: reason })];
  }

  end(): Completion[] {
    if (!this.#includeUsage) return [];
    const usage = toWireUsage(groupsOf(this.#shape.n, this.#usages));
    return [{ ...this.#head, object: "text_completion", choices: [], usage }];
  }

  /** The echo of the prompt. */
  #begin(index: number): Completion[] {
    if (this.#lengths.has(index)) return [];
    this.#lengths.set(index, 0);
    const begin = this.#shape.begins[index]!;
    return begin === "" ? [] : [this.#text(index, begin, undefined)];
  }

  #text(index: number, text: string, tokens: readonly TokenLogprob[] | undefined): Completion {
    const offset = this.#lengths.get(index)!;
    this.#lengths.set(index, offset + text.length);
    const logprobs = this.#shape.withLogprobs ? toWireLogprobs(tokens ?? [], offset) : null;
    return this.#chunk({ index, text, logprobs, finish_reason: null });
  }

  #chunk(choice: Choice): Completion {
    const usage = this.#includeUsage ? { usage: null } : {};
    return { ...this.#head, object: "text_completion", choices: [choice], ...usage };
  }
}

function toWireLogprobs(tokens: readonly TokenLogprob[], offset: number): WireLogprobs {
  const logprobs: WireLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  let at = offset;
  for (const { token, logprob, top } of tokens) {
    logprobs.tokens.push(token);
    logprobs.token_logprobs.push(toFinite(logprob));
    const alternatives = [...top, { token, logprob }].map(
      (one) => [one.token, toFinite(one.logprob)] as const,
    );
    logprobs.top_logprobs.push(Object.fromEntries(alternatives));
    logprobs.text_offset.push(at);
    at += token.length;
  }
  return logprobs;
}

function groupsOf<T>(size: number, list: readonly T[]): T[][] {
  return Array.from({ length: list.length / size }, (_, group) =>
    list.slice(group * size, (group + 1) * size),
  );
}

export const completionSchema: z.ZodType = z
  .object({
    ...headFields,
    object: z.literal("text_completion"),
    choices: z.array(
      z.object({
        index: z.int(),
        text: z.string(),
        logprobs: z
          .object({
            tokens: z.array(z.string()),
            token_logprobs: z.array(z.number()),
            top_logprobs: z.array(z.record(z.string(), z.number())),
            text_offset: z.array(z.int()),
          })
          .nullable(),
        finish_reason: z.enum(["stop", "length"]).nullable(),
      }),
    ),
    usage: wireUsage.nullish(),
  })
  .openapi("Completion");
