import { MullError } from "../spec/errors.ts";
import type { ImageDetail, ImagePart } from "../spec/message.ts";
import { averagedGrid } from "./reduce-rows-by-average.ts";
import { type ReductionMethod, reductionMethod } from "./reduce-rows.ts";
import type { RowGrid } from "./row-grid.ts";

/** A picture of a prompt that may be too long. */
export interface BudgetedPicture {
  /** Rows that the encoder gives of it. */
  native: number;
  /** Rows that it is to take: what `rowsForBudget` says. */
  asked: number;
  /** Default: its rows are one line. */
  grid?: RowGrid | undefined;
  /** What messages call it, beside its number. */
  name?: string | undefined;
}

const DETAILS: readonly ImageDetail[] = ["auto", "low", "high"];

/** `detail: "low"` is one row in so many. */
const LOW_DETAIL_DIVISOR = 4;

/** Below this little is left of a picture: better an error than an answer about nothing. */
const LEAST_ROWS = 16;

/**
 * How many rows a picture may take: all that the encoder gives, a quarter of them for `detail: "low"`, and never more
 * than `maxTokens`. Less than that where the method cannot make the number: a grid average makes whole grids only
 * (`averagedGrid`); the others make any number.
 * @param native rows of the encoder, and how they lie on the picture if they form a grid
 * @throws MullError `invalid_argument` for an unknown detail, or a `maxTokens` that is no whole number from 1 on
 */
export function rowsForBudget(
  native: RowGrid | number,
  request: Pick<ImagePart, "detail" | "maxTokens" | "name">,
  method: ReductionMethod = reductionMethod(),
): number {
  const { detail = "auto", maxTokens, name = "a picture" } = request;
  if (!DETAILS.includes(detail)) {
    throw new MullError("invalid_argument", `The detail of ${name} is ${detail as string}.`, {
      hint: `It may be ${DETAILS.join(", ")}.`,
    });
  }
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 1)) {
    throw new MullError("invalid_argument", `The maxTokens of ${name} is ${String(maxTokens)}.`, {
      hint: "Give the most rows of the context that it may take: a whole number from 1 on, or none.",
    });
  }
  const all = typeof native === "number" ? native : native.rows * native.columns;
  const wanted = detail === "low" ? Math.max(1, Math.floor(all / LOW_DETAIL_DIVISOR)) : all;
  return makeableRows(native, Math.min(wanted, maxTokens ?? all), method);
}

/**
 * Divides room among pictures that do not fit it, in proportion to what they ask for; but none gets less than 16 rows,
 * or all it asks for if that is less.
 * @param room positions of the context that are left for pictures
 * @returns rows of each picture, at most what it asks for; undefined when there is no room for the least of each
 */
export function shrinkToFit(
  pictures: readonly BudgetedPicture[],
  room: number,
  method: ReductionMethod = reductionMethod(),
): number[] | undefined {
  let asked = sum(pictures.map((picture) => picture.asked));
  if (asked <= room) return pictures.map((picture) => picture.asked);
  if (!(sum(pictures.map(leastRows)) <= room)) return undefined;
  const rows = new Map<BudgetedPicture, number>();
  let left = room;
  // Small ones first: what they get beyond their proportion is taken from all that are larger.
  for (const picture of pictures.toSorted((a, b) => a.asked - b.asked)) {
    const share = Math.max(leastRows(picture), Math.floor((picture.asked * left) / asked));
    rows.set(picture, makeableRows(picture.grid ?? picture.native, share, method));
    left -= share;
    asked -= picture.asked;
  }
  return pictures.map((picture) => rows.get(picture) as number);
}

/**
 * What to tell whoever sends pictures that do not fit: which one to shrink to how many rows, or, where shrinking one is
 * not enough, to how many each.
 * @param room positions of the context that are left for pictures
 * @returns a sentence; undefined when they fit, or cannot be made to
 */
export function shrinkAdvice(pictures: readonly BudgetedPicture[], room: number): string | undefined {
  const excess = sum(pictures.map(({ asked }) => asked)) - room;
  if (!(excess > 0)) return undefined;
  const largest = pictures.reduce((best, picture) => (picture.asked > best.asked ? picture : best));
  const rest = largest.asked - excess;
  if (rest >= leastRows(largest)) return advise(describe(largest, pictures.indexOf(largest)), rest);
  const each = evenLimit(pictures, room);
  return each < LEAST_ROWS ? undefined : advise("every picture", each);
}

/** The most rows up to `limit`, at least 1, that the method can make. */
function makeableRows(native: RowGrid | number, limit: number, method: ReductionMethod): number {
  const grid = typeof native === "number" ? { rows: 1, columns: native } : native;
  if (limit >= grid.rows * grid.columns || method !== "grid average") return limit;
  const { rows, columns } = averagedGrid(grid, limit);
  return rows * columns;
}

function advise(whom: string, tokens: number): string {
  return `Or shrink ${whom} to at most ${tokens} tokens (maxTokens), or let pictures be shrunk to fit (overflow: shrink).`;
}

function describe({ name }: BudgetedPicture, index: number): string {
  const number = `picture ${index + 1}`;
  // A picture without a name of its own is already called by its number.
  return name === undefined || name === `image ${index + 1}` ? number : `${number} (${name})`;
}

/** The largest number of rows such that they all fit when no picture takes more. */
function evenLimit(pictures: readonly BudgetedPicture[], room: number): number {
  let left = room;
  const ascending = pictures.map(({ asked }) => asked).toSorted((a, b) => a - b);
  for (const [index, asked] of ascending.entries()) {
    const each = Math.floor(left / (ascending.length - index));
    if (asked > each) return each;
    left -= asked;
  }
  return left;
}

function leastRows({ asked }: BudgetedPicture): number {
  return Math.min(LEAST_ROWS, asked);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
