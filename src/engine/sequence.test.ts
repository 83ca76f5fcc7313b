import { describe, expect, it } from "vitest";
import { Sequence, type SequenceUnit, lastPosition, positionsOf, sharedUnits } from "./sequence.ts";

const picture = (key: string, rows = 4, positions = rows): SequenceUnit => ({
  key,
  picture: key,
  part: 0,
  rows,
  positions,
});

describe("Sequence", () => {
  it("counts a picture as its rows", () => {
    const sequence = new Sequence();
    sequence.append([1, picture("a"), 2]);
    expect(sequence.positions).toBe(6);
    expect(positionsOf(sequence.units)).toBe(6);
    sequence.clear();
    expect(sequence.positions).toBe(0);
    expect(sequence.cells).toBe(0);
  });

  it("counts positions of rows with coordinates apart from their cells", () => {
    const sequence = new Sequence();
    sequence.append([1, picture("a", 12, 4)]);
    expect(sequence.positions).toBe(5);
    expect(sequence.cells).toBe(13);
    expect(lastPosition(sequence.units)).toBe(1);
    sequence.append([2]);
    expect(lastPosition(sequence.units)).toBe(5);
  });
});

describe("sharedUnits", () => {
  it("is the longest common beginning", () => {
    expect(sharedUnits([1, picture("a"), 2, 3, 4], [1, picture("a"), 2, 9, 9])).toBe(3);
    expect(sharedUnits([1, 2], [1, 2, 3])).toBe(2);
    expect(sharedUnits([], [1])).toBe(0);
  });

  it("does not take another picture, or another size of it, for the same", () => {
    for (const other of [picture("b"), picture("a", 5), 7]) {
      expect(sharedUnits([1, picture("a"), 2], [1, other, 2])).toBe(1);
    }
  });
});
