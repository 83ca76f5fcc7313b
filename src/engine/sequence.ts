/** The rows of one picture, which are kept or forgotten together. */
export interface ImageUnit {
  /** SHA-256 over the pixels, their size, and how many rows they were merged to: 64 hex digits. */
  key: string;
  rows: number;
}

/** One unit of a sequence: a token, or a picture. */
export type SequenceUnit = number | ImageUnit;

/** What lies in one sequence of the KV cache, in order. The engine keeps it in step with the native cache. */
export class Sequence {
  readonly #units: SequenceUnit[] = [];
  #positions = 0;

  /** Positions taken: the next token goes there. */
  get positions(): number {
    return this.#positions;
  }

  get units(): readonly SequenceUnit[] {
    return this.#units;
  }

  append(units: readonly SequenceUnit[]): void {
    for (const unit of units) {
      this.#units.push(unit);
      this.#positions += unitLength(unit);
    }
  }

  clear(): void {
    this.#units.length = 0;
    this.#positions = 0;
  }
}

/** Positions that a unit takes. */
export function unitLength(unit: SequenceUnit): number {
  return typeof unit === "number" ? 1 : unit.rows;
}

/** Positions that units take together. */
export function positionsOf(units: readonly SequenceUnit[]): number {
  return units.reduce<number>((sum, unit) => sum + unitLength(unit), 0);
}

/** How many units two lists have in common at their beginning. */
export function sharedUnits(a: readonly SequenceUnit[], b: readonly SequenceUnit[]): number {
  const most = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < most && sameUnit(a[shared] as SequenceUnit, b[shared] as SequenceUnit)) shared++;
  return shared;
}

function sameUnit(a: SequenceUnit, b: SequenceUnit): boolean {
  if (typeof a === "object" && typeof b === "object") return a.key === b.key && a.rows === b.rows;
  return a === b;
}
