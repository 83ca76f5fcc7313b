/** Bytes of a blob that are in its partial file. */
export interface Extent {
  readonly offset: number;
  /** At most `MOST_EXTENT_BYTES`. */
  readonly length: number;
  /** CRC-32 of what came from the network. */
  readonly checksum: number;
}

/** What a reader holds in memory at a time, and the most that is fetched again for one bad byte. */
export const MOST_EXTENT_BYTES: number = 8 * 1024 * 1024;

/** From `start` up to and without `end`. */
export interface Gap {
  readonly start: number;
  readonly end: number;
}

/** Extents that do not overlap, in order. */
export class ExtentSet {
  readonly #extents: Extent[] = [];
  #bytes = 0;

  /** Of all extents. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Replaces whatever it overlaps: the later one is what stands on the disk. */
  add(extent: Extent): void {
    const first = this.#indexOf(extent.offset);
    let after = first;
    const end = extent.offset + extent.length;
    for (let next = this.#extents[after]; next !== undefined && next.offset < end;) {
      next = this.#extents[(after += 1)];
    }
    const replaced = this.#extents.splice(first, after - first, extent);
    this.#bytes += extent.length - sum(replaced);
  }

  remove(extent: Extent): void {
    const index = this.#indexOf(extent.offset);
    if (this.#extents[index]?.offset !== extent.offset) return;
    this.#bytes -= sum(this.#extents.splice(index, 1));
  }

  clear(): void {
    this.#extents.length = 0;
    this.#bytes = 0;
  }

  /** Those that follow `offset` without a gap, of at most `mostBytes`, and one at the least if there is one. */
  from(offset: number, mostBytes: number): Extent[] {
    const run: Extent[] = [];
    let end = offset;
    for (let index = this.#indexOf(offset); ; index++) {
      const extent = this.#extents[index];
      if (extent === undefined || extent.offset !== end) return run;
      if (run.length > 0 && end + extent.length - offset > mostBytes) return run;
      run.push(extent);
      end += extent.length;
    }
  }

  /** What is missing of `size` bytes, in order. */
  *gaps(size: number): Generator<Gap> {
    let start = 0;
    for (const { offset, length } of this.#extents) {
      if (offset > start) yield { start, end: offset };
      start = offset + length;
    }
    if (start < size) yield { start, end: size };
  }

  /** Index of the first extent that ends behind `offset`. */
  #indexOf(offset: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { offset: start, length } = this.#extents[middle] as Extent;
      if (start + length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function sum(extents: readonly Extent[]): number {
  return extents.reduce((bytes, { length }) => bytes + length, 0);
}
