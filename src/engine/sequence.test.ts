import { describe, expect, it } from "vitest";
import { Sequence, type SequenceUnit } from "./sequence.ts";

const picture = (key: string, rows = 4): SequenceUnit => ({ key, rows });

describe("Sequence", () => {
  it("counts a picture as its rows", () => {
    const sequence = new Sequence();
    sequence.append([1, picture("a"), 2]);
    expect(sequence.positions).toBe(6);
    expect(sequence.tokens).toEqual([1, 2]);
  });

  it("keeps the longest prefix it shares with a prompt", () => {
    const sequence = new Sequence();
    sequence.append([1, picture("a"), 2, 3, 4]);
    expect(sequence.keepPrefix([1, picture("a"), 2, 9, 9])).toBe(3);
    expect(sequence.positions).toBe(6);
  });

  it("does not take another picture, or another size of it, for the same", () => {
    for (const other of [picture("b"), picture("a", 5)]) {
      const sequence = new Sequence();
      sequence.append([1, picture("a"), 2]);
      expect(sequence.keepPrefix([1, other, 2])).toBe(1);
      expect(sequence.positions).toBe(1);
    }
  });

  it("always leaves the prompt's last unit to be read, for its logits", () => {
    const sequence = new Sequence();
    sequence.append([1, 2, 3]);
    expect(sequence.keepPrefix([1, 2, 3])).toBe(2);
    expect(sequence.keepPrefix([1])).toBe(0);
    expect(sequence.positions).toBe(0);
  });
});
