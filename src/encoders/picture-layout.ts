import type { RowGrid } from "./row-grid.ts";

/** How one picture stands in a prompt: rows of the encoder, and the text that the model was trained to see around them. */
export type PicturePart =
  /** Control tokens in it count, such as `<|vision_start|>`. */
  { text: string } | RowsPart;

export interface RowsPart {
  /** Rows of the encoder: those that follow the rows of the parts before. */
  rows: number;
  /** How they lie on the picture, in raster order, if they can be merged with their neighbours to make fewer. */
  grid?: RowGrid;
  /** Where each row lies, for models whose rows have several coordinates (M-RoPE); undefined: one after the other. */
  places?: RowPlaces;
}

/** Coordinates of rows, counted from the position at which the picture begins. */
export interface RowPlaces {
  /** (rows) int32 each */
  time: Int32Array;
  down: Int32Array;
  across: Int32Array;
  /** What follows the picture begins so many positions after it. */
  positions: number;
}

export function rowsParts(parts: readonly PicturePart[]): readonly RowsPart[] {
  return parts.filter((part) => "rows" in part);
}

export function rowsOf(parts: readonly PicturePart[]): number {
  return parts.reduce((sum, part) => ("rows" in part ? sum + part.rows : sum), 0);
}

/** Whether rows may be merged with their neighbours: one part, and nothing that tells where each row lies. */
export function isMergeable(parts: readonly PicturePart[]): boolean {
  const [first, second] = rowsParts(parts);
  return first !== undefined && second === undefined && first.places === undefined;
}

/** A grid of rows with M-RoPE's coordinates: all at one time (Qwen2-VL, arXiv 2409.12191). */
export function gridPlaces({ rows, columns }: RowGrid): RowPlaces {
  const count = rows * columns;
  return {
    time: new Int32Array(count),
    down: Int32Array.from({ length: count }, (_, index) => Math.floor(index / columns)),
    across: Int32Array.from({ length: count }, (_, index) => index % columns),
    positions: Math.max(rows, columns),
  };
}
