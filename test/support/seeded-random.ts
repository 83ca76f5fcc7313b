import { randomInt } from "node:crypto";
import { RandomSource } from "../../bench/random.ts";

/**
 * Numbers of [0, 1) that a seed decides: MULL_TEST_SEED, else another one each time. It is printed, so that a run that
 * failed can be repeated.
 */
export function seededRandom(what: string): () => number {
  const seed = Number(process.env["MULL_TEST_SEED"] ?? randomInt(2 ** 31));
  console.info(`${what}: MULL_TEST_SEED=${seed}`);
  const source = new RandomSource(seed);
  const words = new Uint32Array(1);
  return () => {
    source.writeInto(words);
    return (words[0] as number) / 2 ** 32;
  };
}
