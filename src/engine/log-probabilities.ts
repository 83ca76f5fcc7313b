import type { TokenLogprob } from "../spec/stream.ts";
import { mostLikely } from "./sampler.ts";

/**
 * How likely a token and its best alternatives are by the model alone: log-softmax of the logits, before penalties,
 * temperature and grammar.
 *
 * @param piece bytes of a token's text
 */
export function logProbabilities(
  logits: Float32Array, // (vocabulary) float32
  token: number,
  alternatives: number,
  piece: (token: number) => Uint8Array,
): TokenLogprob {
  let top = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > top) top = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  const normaliser = top + Math.log(sum);
  const describe = (id: number, logit: number): Omit<TokenLogprob, "top"> => {
    const bytes = piece(id);
    return { token: new TextDecoder().decode(bytes), bytes: Array.from(bytes), logprob: logit - normaliser };
  };
  return {
    ...describe(token, logits[token] as number),
    top:
      alternatives === 0
        ? []
        : mostLikely(logits, alternatives).map((best) => describe(best.token, best.logit)),
  };
}
