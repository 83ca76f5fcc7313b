/** Rows of a picture, or of a part of one, which are kept or forgotten together. */
export interface ImageUnit {
  /** SHA-256 over the pixels, their size, how many rows the picture may take, and which part of it: 64 hex digits. */
  key: string;
  /** The same of the whole picture. */
  picture: string;
  /** Most rows that the encoder was told to make of the picture; undefined: as many as it likes. */
  limit?: number;
  /** Which of the picture's parts, from 0; one of several is surrounded by text. */
  part: number;
  /** Cells of the KV cache. */
  rows: number;
  /** Positions: as many as rows, or fewer where rows have coordinates (M-RoPE). */
  positions: number;
}

/** One unit of a sequence: a token, or rows of a picture. */
export type SequenceUnit = number | ImageUnit;

/** What lies in one sequence of the KV cache, in order. The engine keeps it in step with the native cache. */
export class Sequence {
  readonly #units: SequenceUnit[] = [];
  #positions = 0;
  #cells = 0;

  /** The next token goes to this position. */
  get positions(): number {
    return this.#positions;
  }

  /** Cells of the KV cache that its units take. */
  get cells(): number {
    return this.#cells;
  }

  get units(): readonly SequenceUnit[] {
    return this.#units;
  }

  append(units: readonly SequenceUnit[]): void {
    for (const unit of units) {
      this.#units.push(unit);
      this.#positions += unitPositions(unit);
      this.#cells += unitCells(unit);
    }
  }

  clear(): void {
    this.#units.length = 0;
    this.#positions = 0;
    this.#cells = 0;
  }
}

function unitPositions(unit: SequenceUnit): number {
  return typeof unit === "number" ? 1 : unit.positions;
}

function unitCells(unit: SequenceUnit): number {
  return typeof unit === "number" ? 1 : unit.rows;
}

/** Positions that units take together. */
export function positionsOf(units: readonly SequenceUnit[]): number {
  return units.reduce<number>((sum, unit) => sum + unitPositions(unit), 0);
}

/**
 * The highest position that native code has of units. Rows with coordinates are all at one time: the position at which
 * their picture begins.
 */
export function lastPosition(units: readonly SequenceUnit[]): number {
  const last = units.at(-1);
  const end = positionsOf(units);
  const hasCoordinates = typeof last === "object" && last.positions < last.rows;
  return hasCoordinates ? end - last.positions : end - 1;
}

/** Cells of the KV cache that units take together. */
export function cellsOf(units: readonly SequenceUnit[]): number {
  return units.reduce<number>((sum, unit) => sum + unitCells(unit), 0);
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
