import type { RowGrid } from "./row-grid.ts";

/**
 * Merges neighbours on the grid, the most similar first, until `target` rows are left; a merged row is the mean of all
 * rows that went into it. It stands where the first of them stood: that keeps more answers than the order of mean
 * positions, words above all (docs/image-budget.md).
 *
 * Which pair is most similar is Ward's criterion (1963, "Hierarchical Grouping to Optimize an Objective Function"): the
 * one whose merging adds least to the squared distance of all rows from their means. Merging by similarity is ToMe's idea
 * (Bolya et al. 2023, arXiv 2210.09461); its bipartite halves and cosines kept fewer answers here, because they melt
 * small things into a background that grows without limit.
 */
export function mergeSimilarRows(
  rows: Float32Array, // (grid.rows * grid.columns, width) float32
  width: number,
  grid: RowGrid,
  target: number,
): Float32Array {
  const clusters = new Clusters(rows, width, grid);
  for (let left = grid.rows * grid.columns; left > target; left--) clusters.mergeMostSimilar();
  return clusters.means(target);
}

/** Connected regions of the grid. Each is known by the number of its first row in raster order. */
class Clusters {
  readonly #width: number;
  /** Mean of each region's rows, at the place of its first: (count, width) float32 */
  readonly #means: Float32Array;
  /** How many rows it has; 0: it went into another. */
  readonly #sizes: Int32Array; // (count) int32
  /** What merging with each neighbour would add to the error. */
  readonly #costs: Map<number, number>[];
  /** The neighbour that costs least, and what it costs. */
  readonly #nearest: Int32Array; // (count) int32
  readonly #least: Float64Array; // (count) float64

  constructor(rows: Float32Array, width: number, { rows: height, columns }: RowGrid) {
    const count = height * columns;
    this.#width = width;
    this.#means = rows.slice();
    this.#sizes = new Int32Array(count).fill(1);
    this.#costs = Array.from({ length: count }, () => new Map<number, number>());
    this.#nearest = new Int32Array(count);
    this.#least = new Float64Array(count);
    for (let place = 0; place < count; place++) {
      if ((place + 1) % columns !== 0) this.#measure(place, place + 1);
      if (place + columns < count) this.#measure(place, place + columns);
    }
    for (let place = 0; place < count; place++) this.#findNearest(place);
  }

  mergeMostSimilar(): void {
    let kept = -1;
    for (let place = 0; place < this.#sizes.length; place++) {
      if (this.#sizes[place] === 0) continue;
      if (kept < 0 || (this.#least[place] as number) < (this.#least[kept] as number)) kept = place;
    }
    // Each pair is found from its first region, so what is merged always has the higher number.
    this.#merge(kept, this.#nearest[kept] as number);
  }

  /** @param count how many regions are left */
  means(count: number): Float32Array {
    const width = this.#width;
    const result = new Float32Array(count * width); // (count, width) float32
    let row = 0;
    for (const [place, size] of this.#sizes.entries()) {
      if (size === 0) continue;
      result.set(this.#means.subarray(place * width, (place + 1) * width), row * width);
      row += 1;
    }
    return result;
  }

  #merge(kept: number, gone: number): void {
    this.#average(kept, gone);
    const neighbours = this.#costs[kept] as Map<number, number>;
    for (const neighbour of (this.#costs[gone] as Map<number, number>).keys()) {
      this.#costs[neighbour]?.delete(gone);
      if (neighbour !== kept) neighbours.set(neighbour, 0);
    }
    this.#costs[gone] = new Map();
    for (const neighbour of neighbours.keys()) this.#measure(kept, neighbour);
    this.#findNearest(kept);
    for (const neighbour of neighbours.keys()) this.#findNearest(neighbour);
  }

  #average(kept: number, gone: number): void {
    const [means, width] = [this.#means, this.#width];
    const [mine, theirs] = [this.#sizes[kept] as number, this.#sizes[gone] as number];
    const [a, b] = [kept * width, gone * width];
    for (let index = 0; index < width; index++) {
      const sum = mine * (means[a + index] as number) + theirs * (means[b + index] as number);
      means[a + index] = sum / (mine + theirs);
    }
    this.#sizes[kept] = mine + theirs;
    this.#sizes[gone] = 0;
  }

  #measure(one: number, other: number): void {
    const [a, b] = [this.#sizes[one] as number, this.#sizes[other] as number];
    const squared = squaredDistance(this.#means, one * this.#width, other * this.#width, this.#width);
    // A row that is not a number costs endlessly much: it is merged last and ends the search for none.
    const cost = Number.isNaN(squared) ? Infinity : (squared * a * b) / (a + b);
    this.#costs[one]?.set(other, cost);
    this.#costs[other]?.set(one, cost);
  }

  /** Ties go to the lower number, so that the result depends on nothing but the rows. */
  #findNearest(place: number): void {
    let [nearest, least] = [-1, Infinity];
    for (const [neighbour, cost] of this.#costs[place] as Map<number, number>) {
      if (nearest >= 0 && (cost > least || (cost === least && neighbour > nearest))) continue;
      [nearest, least] = [neighbour, cost];
    }
    this.#nearest[place] = nearest;
    this.#least[place] = least;
  }
}

/** Four sums side by side: one alone would wait for each addition. */
function squaredDistance(values: Float32Array, one: number, other: number, width: number): number {
  let first = 0;
  let second = 0;
  let third = 0;
  let fourth = 0;
  const end = one + width;
  let [a, b] = [one, other];
  for (; a + 3 < end; a += 4, b += 4) {
    const d0 = (values[a] as number) - (values[b] as number);
    const d1 = (values[a + 1] as number) - (values[b + 1] as number);
    const d2 = (values[a + 2] as number) - (values[b + 2] as number);
    const d3 = (values[a + 3] as number) - (values[b + 3] as number);
    first += d0 * d0;
    second += d1 * d1;
    third += d2 * d2;
    fourth += d3 * d3;
  }
  for (; a < end; a++, b++) first += ((values[a] as number) - (values[b] as number)) ** 2;
  return first + second + (third + fourth);
}
