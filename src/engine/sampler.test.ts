import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Sampler } from "./sampler.ts";

const logits = (...values: number[]): Float32Array => Float32Array.from(values);

/** How often each token is chosen in many draws from the same logits. */
function frequencies(
  options: ConstructorParameters<typeof Sampler>[0],
  values: number[],
  draws = 4000,
): number[] {
  const sampler = new Sampler({ seed: 7, ...options });
  const counts = values.map(() => 0);
  for (let draw = 0; draw < draws; draw++) {
    const token = sampler.choose(logits(...values), []);
    counts[token] = (counts[token] as number) + 1;
  }
  return counts.map((count) => count / draws);
}

describe("Sampler", () => {
  it("is the largest logit at temperature 0, the first of equals", () => {
    expect(new Sampler({}).choose(logits(1, 5, 5, 2), [])).toBe(1);
    expect(new Sampler({ temperature: 0, topK: 1 }).choose(logits(-3, -1, -2), [])).toBe(1);
  });

  it("draws in proportion to the probabilities", () => {
    const shares = frequencies({ temperature: 1, topK: 0, topP: 1, minP: 0 }, [
      Math.log(6),
      Math.log(3),
      Math.log(1),
    ]);
    expect(shares[0]).toBeCloseTo(0.6, 1);
    expect(shares[1]).toBeCloseTo(0.3, 1);
    expect(shares[2]).toBeCloseTo(0.1, 1);
  });

  it("flattens with high and sharpens with low temperature", () => {
    const open = { topK: 0, topP: 1, minP: 0 };
    const hot = frequencies({ ...open, temperature: 4 }, [2, 0]);
    const cold = frequencies({ ...open, temperature: 0.2 }, [2, 0]);
    expect(hot[0]).toBeLessThan(0.7);
    expect(cold[0]).toBeGreaterThan(0.99);
  });

  it("keeps k tokens with top-k, also among equal logits", () => {
    const shares = frequencies({ temperature: 1, topK: 2, topP: 1, minP: 0 }, [1, 1, 1, 1]);
    expect(shares.slice(2)).toEqual([0, 0]);
  });

  it("keeps the smallest set that reaches p with top-p", () => {
    const values = [0.5, 0.3, 0.15, 0.05].map(Math.log);
    expect(frequencies({ temperature: 1, topK: 0, topP: 0.6, minP: 0 }, values).slice(2)).toEqual([0, 0]);
    expect(frequencies({ temperature: 1, topK: 0, topP: 0.4, minP: 0 }, values)[0]).toBe(1);
  });

  it("drops what is less likely than p times the best with min-p", () => {
    const values = [0.6, 0.3, 0.1].map(Math.log);
    expect(frequencies({ temperature: 1, topK: 0, topP: 1, minP: 0.25 }, values)[2]).toBe(0);
    expect(frequencies({ temperature: 1, topK: 0, topP: 1, minP: 0.1 }, values)[2]).toBeGreaterThan(0);
  });

  it("makes a repeated token less likely, whatever the sign of its logit", () => {
    expect(new Sampler({ repeatPenalty: 2 }).choose(logits(3, 2), [0])).toBe(1);
    expect(new Sampler({ repeatPenalty: 2 }).choose(logits(-1, -1.5), [0])).toBe(1);
  });

  it("subtracts the frequency penalty per occurrence and the presence penalty once", () => {
    expect(new Sampler({ frequencyPenalty: 0.5 }).choose(logits(1, 0.1), [0, 0])).toBe(1);
    expect(new Sampler({ frequencyPenalty: 0.5 }).choose(logits(1, 0.1), [0])).toBe(0);
    expect(new Sampler({ presencePenalty: 0.5 }).choose(logits(1, 0.1), [0, 0, 0])).toBe(0);
  });

  it("looks back as far as repeatLastN says", () => {
    const far = [0, 1, 1];
    expect(new Sampler({ presencePenalty: 2, repeatLastN: 2 }).choose(logits(1, 1.5), far)).toBe(0);
    expect(new Sampler({ presencePenalty: 2, repeatLastN: -1 }).choose(logits(1, 1.5), far)).toBe(1);
    expect(new Sampler({ presencePenalty: 2, repeatLastN: 0 }).choose(logits(1, 1.5), far)).toBe(1);
  });

  it("gives the same tokens for the same seed, whatever the logits", () => {
    const values = fc.array(fc.float({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.nat(50), (array, seed, topK) => {
        const options = { temperature: 0.8, topK, seed };
        const [a, b] = [new Sampler(options), new Sampler(options)];
        for (let round = 0; round < 5; round++) {
          const token = a.choose(Float32Array.from(array), []);
          expect(token).toBe(b.choose(Float32Array.from(array), []));
          expect(token).toBeGreaterThanOrEqual(0);
          expect(token).toBeLessThan(array.length);
        }
      }),
    );
  });
});
