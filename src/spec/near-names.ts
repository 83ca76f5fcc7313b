/**
 * Names that a typing error away from `wanted` could have been meant, nearest first, at most three.
 * A name that differs only in case or in its ending (`cat.png` for `cat.jpg`) is always near.
 */
export function nearNames(wanted: string, candidates: Iterable<string>): string[] {
  const target = wanted.toLowerCase();
  const allowed = Math.max(2, Math.floor(target.length / 4));
  const found: { name: string; distance: number }[] = [];
  for (const name of candidates) {
    const lower = name.toLowerCase();
    if (stem(lower) === stem(target)) found.push({ name, distance: 0 });
    // Distance is at least the difference in length: most names of a folder are settled here.
    else if (Math.abs(lower.length - target.length) <= allowed) {
      const distance = editDistance(lower, target);
      if (distance <= allowed) found.push({ name, distance });
    }
  }
  found.sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name));
  return found.slice(0, 3).map(({ name }) => name);
}

function stem(name: string): string {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(0, dot) : name;
}

/** Optimal string alignment: inserted, deleted, replaced characters and swapped neighbours cost one each. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      let cost = Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1);
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) cost = Math.min(cost, beforePrevious[column - 2]! + 1);
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length]!;
}
