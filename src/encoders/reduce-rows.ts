import { MullError } from "../spec/errors.ts";
import type { MediaStep } from "../spec/receipt.ts";
import { averageRowsOnGrid } from "./reduce-rows-by-average.ts";
import { mergeSimilarRows } from "./reduce-rows-by-similarity.ts";
import type { RowGrid } from "./row-grid.ts";

/**
 * Ways to make fewer rows of a picture without training, in the words of the receipt.
 *
 * `similarity merge`: neighbours on the grid that are most alike become their mean, until exactly so many are left.
 * `grid average`: the grid is averaged to a coarser one of the same shape; it gives what `averagedGrid` says.
 * `random`: rows chosen by lot, as they are; the control that a method must beat.
 *
 * docs/image-budget.md has what each costs in answers.
 */
export const REDUCTION_METHODS = ["similarity merge", "grid average", "random"] as const;
export type ReductionMethod = (typeof REDUCTION_METHODS)[number];

/**
 * The method in use: MULL_IMAGE_REDUCTION, default `similarity merge`.
 * @throws MullError `invalid_argument` when the variable names none
 */
export function reductionMethod(environment: NodeJS.ProcessEnv = process.env): ReductionMethod {
  const name = environment["MULL_IMAGE_REDUCTION"];
  if (name === undefined || name === "") return "similarity merge";
  const method = REDUCTION_METHODS.find((known) => known === name);
  if (method !== undefined) return method;
  throw new MullError("invalid_argument", `MULL_IMAGE_REDUCTION is "${name}".`, {
    hint: `It may be ${REDUCTION_METHODS.join(", ")}.`,
  });
}

export interface ReduceRowsOptions {
  /** Width of a row. */
  width: number;
  /** Default: one line, so that only rows that follow each other are neighbours. */
  grid?: RowGrid | undefined;
  /** How many rows to make: 1 to as many as there are; what `rowsForBudget` says. */
  target: number;
  /** Default: `reductionMethod()`. */
  method?: ReductionMethod;
}

/**
 * Makes fewer rows of a picture's rows, in raster order still. The same rows give the same result; when there is nothing
 * to reduce, the result is the argument itself.
 * @throws MullError `internal` when sizes contradict each other
 */
export function reduceRows(
  rows: Float32Array, // (count, width) float32
  { width, grid, target, method = reductionMethod() }: ReduceRowsOptions,
): Float32Array {
  const count = rows.length / width;
  const shape = grid ?? { rows: 1, columns: count };
  requireSizes(count, shape, target);
  if (target === count) return rows;
  if (method === "random") return chooseByLot(rows, width, target);
  const reduce = method === "grid average" ? averageRowsOnGrid : mergeSimilarRows;
  return reduce(rows, width, shape, target);
}

/** What the receipt says of it. */
export function mergedStep(
  tokens: number,
  of: number,
  method: ReductionMethod = reductionMethod(),
): MediaStep & { action: "merged" } {
  return { action: "merged", tokens, of, method };
}

/** Each choice of rows is equally likely, but the same rows always draw the same lot (Knuth, TAOCP 3.4.2, Algorithm S). */
function chooseByLot(rows: Float32Array, width: number, target: number): Float32Array {
  const count = rows.length / width;
  const bits = new Uint32Array(rows.buffer, rows.byteOffset, rows.length);
  const result = new Float32Array(target * width); // (target, width) float32
  let state = 1;
  for (let place = 0; place < count; place++) state = scramble(state ^ (bits[place * width] as number));
  let chosen = 0;
  for (let place = 0; chosen < target; place++) {
    state = scramble(state + 1);
    if (((state >>> 0) / 2 ** 32) * (count - place) >= target - chosen) continue;
    result.set(rows.subarray(place * width, (place + 1) * width), chosen * width);
    chosen += 1;
  }
  return result;
}

/** MurmurHash3's finalizer: every bit of the result depends on every bit of the argument. */
function scramble(value: number): number {
  const once = Math.imul(value ^ (value >>> 16), 0x85eb_ca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2_ae35);
  return twice ^ (twice >>> 16);
}

function requireSizes(count: number, { rows, columns }: RowGrid, target: number): void {
  if (!Number.isInteger(count) || rows * columns !== count) {
    throw new MullError("internal", `${count} rows do not lie on a grid of ${rows} x ${columns}.`);
  }
  if (!Number.isInteger(target) || target < 1 || target > count) {
    throw new MullError("internal", `${count} rows cannot be reduced to ${target}.`);
  }
}
