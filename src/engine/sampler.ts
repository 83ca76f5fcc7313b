import type { GenerationOptions } from "../spec/options.ts";
import type { Grammar } from "./grammar.ts";
import { seededRandom } from "./random.ts";

type SamplingOptions = Omit<GenerationOptions, "stop" | "maxTokens">;

type GrammarMask = Pick<Grammar, "allows" | "mask">;

export interface Candidate {
  token: number;
  logit: number;
}

/**
 * Chooses the next token from logits.
 *
 * Order of the steps as in llama.cpp's default chain: penalties, top-k, top-p, min-p, temperature, random choice.
 * With temperature 0 it is the largest logit after penalties (the lowest id among equals): no randomness at all.
 */
export class Sampler {
  readonly #options: Required<Omit<SamplingOptions, "seed">>;
  readonly #random: () => number;

  constructor(options: SamplingOptions) {
    this.#options = {
      temperature: options.temperature ?? 0,
      topK: options.topK ?? 40,
      topP: options.topP ?? 0.95,
      minP: options.minP ?? 0.05,
      repeatPenalty: options.repeatPenalty ?? 1,
      frequencyPenalty: options.frequencyPenalty ?? 0,
      presencePenalty: options.presencePenalty ?? 0,
      repeatLastN: options.repeatLastN ?? 64,
    };
    this.#random = seededRandom(options.seed ?? Math.floor(Math.random() * 2 ** 32));
  }

  /**
   * @param logits (vocabulary) float32; changed in place by the penalties and the grammar
   * @param history all text tokens so far, prompt and answer, oldest first
   * @param grammar what may follow. A mask of the whole vocabulary costs milliseconds, so the choice is made freely
   *   first and only repeated if the grammar does not allow it
   * @returns undefined if the grammar allows nothing
   */
  choose(logits: Float32Array, history: readonly number[], grammar: GrammarMask): number | undefined;
  choose(logits: Float32Array, history: readonly number[]): number;
  choose(logits: Float32Array, history: readonly number[], grammar?: GrammarMask): number | undefined {
    this.#penalise(logits, history);
    const free = this.#pick(logits);
    if (grammar === undefined || grammar.allows(free)) return free;
    grammar.mask(logits);
    const token = this.#pick(logits);
    return logits[token] === Number.NEGATIVE_INFINITY ? undefined : token;
  }

  #pick(logits: Float32Array): number {
    const { temperature, topK, topP, minP } = this.#options;
    if (temperature === 0) return largest(logits);
    const sorted = mostLikely(logits, topK > 0 ? Math.min(topK, logits.length) : logits.length);
    const kept = atLeastMinP(nucleus(sorted, topP), minP);
    return draw(kept, temperature, this.#random());
  }

  /** Repeat penalty of CTRL (arXiv 1909.05858), frequency and presence penalty as OpenAI documents them. */
  #penalise(logits: Float32Array, history: readonly number[]): void {
    const { repeatPenalty, frequencyPenalty, presencePenalty, repeatLastN } = this.#options;
    if (repeatPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0) return;
    const counts = new Map<number, number>();
    const recent = repeatLastN < 0 ? history : history.slice(Math.max(0, history.length - repeatLastN));
    for (const token of recent) counts.set(token, (counts.get(token) ?? 0) + 1);
    for (const [token, count] of counts) {
      const logit = logits[token];
      if (logit === undefined) continue;
      const repeated = logit > 0 ? logit / repeatPenalty : logit * repeatPenalty;
      logits[token] = repeated - count * frequencyPenalty - presencePenalty;
    }
  }
}

function largest(logits: Float32Array): number {
  let best = 0;
  let bestLogit = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] as number;
    if (logit > bestLogit) [best, bestLogit] = [token, logit];
  }
  return best;
}

/** The `count` largest logits, largest first; equal ones by id, so the order never depends on the engine's sort. */
export function mostLikely(logits: Float32Array, count: number): Candidate[] {
  const compare = (a: Candidate, b: Candidate): number => b.logit - a.logit || a.token - b.token;
  const candidates: Candidate[] = [];
  // A vocabulary has 10^5 entries and k is 40: what cannot be among the k largest so far is passed over. The list is
  // cut back to k whenever it has grown to a few times that.
  const most = Math.max(4 * count, 256);
  let threshold = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] as number;
    if (logit < threshold || logit === Number.NEGATIVE_INFINITY) continue;
    candidates.push({ token, logit });
    if (candidates.length < most) continue;
    candidates.sort(compare).length = Math.min(count, candidates.length);
    threshold = (candidates.at(-1) as Candidate).logit;
  }
  if (candidates.length === 0) return [{ token: 0, logit: logits[0] ?? 0 }];
  return candidates.sort(compare).slice(0, count);
}

/** Top-p (Holtzman et al., arXiv 1904.09751): the fewest tokens whose probabilities reach p. */
function nucleus(sorted: Candidate[], p: number): Candidate[] {
  if (p >= 1) return sorted;
  const weights = softmax(sorted, 1);
  let mass = 0;
  for (let count = 0; count < sorted.length; count++) {
    mass += weights[count] as number;
    if (mass >= p) return sorted.slice(0, count + 1);
  }
  return sorted;
}

/** Min-p (Nguyen et al., arXiv 2407.01082): no token less likely than p times the most likely. */
function atLeastMinP(sorted: Candidate[], p: number): Candidate[] {
  if (p <= 0) return sorted;
  const lowest = (sorted[0]?.logit ?? 0) + Math.log(p);
  return sorted.filter(({ logit }) => logit >= lowest);
}

function draw(sorted: readonly Candidate[], temperature: number, random: number): number {
  const weights = softmax(sorted, temperature);
  let left = random;
  for (const [place, candidate] of sorted.entries()) {
    left -= weights[place] as number;
    if (left < 0) return candidate.token;
  }
  // Rounding may leave a hair of probability: it belongs to the most likely token.
  return sorted[0]?.token ?? 0;
}

/** Probabilities of candidates that are sorted, largest first. */
function softmax(sorted: readonly Candidate[], temperature: number): number[] {
  const top = sorted[0]?.logit ?? 0;
  const weights = sorted.map(({ logit }) => Math.exp((logit - top) / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
