/** A set of code points: ranges with both ends included, sorted, neither overlapping nor touching. */
export type CodePoints = readonly (readonly [first: number, last: number])[];

/** Everything that UTF-8 can carry. */
export const ANY_CHARACTER: CodePoints = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Two letters outside Unicode, which stand at the ends of a text while a pattern with anchors is worked on. */
export const TEXT_START = 0x110000;
export const TEXT_END = 0x110001;

export function codePoints(...ranges: readonly (readonly [number, number])[]): CodePoints {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const result: [number, number][] = [];
  for (const [first, last] of sorted) {
    const before = result.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else result.push([first, last]);
  }
  return result;
}

/** The code points of a text, as a set. */
export function oneOf(text: string): CodePoints {
  return codePoints(...Array.from(text, (character) => pair(character.codePointAt(0) as number)));
}

export function union(a: CodePoints, b: CodePoints): CodePoints {
  return codePoints(...a, ...b);
}

export function subtract(from: CodePoints, what: CodePoints): CodePoints {
  const result: [number, number][] = [];
  for (let [first, last] of from) {
    for (const [start, end] of what) {
      if (end < first || start > last) continue;
      if (start > first) result.push([first, start - 1]);
      first = end + 1;
    }
    if (first <= last) result.push([first, last]);
  }
  return result;
}

export function intersect(a: CodePoints, b: CodePoints): CodePoints {
  return a.flatMap(([first, last]) =>
    b.flatMap(([start, end]): [number, number][] => {
      const low = Math.max(first, start);
      const high = Math.min(last, end);
      return low <= high ? [[low, high]] : [];
    }),
  );
}

export function contains(set: CodePoints, codePoint: number): boolean {
  return set.some(([first, last]) => first <= codePoint && codePoint <= last);
}

export function isSame(a: CodePoints, b: CodePoints): boolean {
  return (
    a.length === b.length &&
    a.every(([first, last], place) => first === b[place]?.[0] && last === b[place]?.[1])
  );
}

function pair(codePoint: number): [number, number] {
  return [codePoint, codePoint];
}
