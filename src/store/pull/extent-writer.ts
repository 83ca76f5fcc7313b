import { performance } from "node:perf_hooks";
import { crc32 } from "node:zlib";
import { type Extent, MOST_EXTENT_BYTES } from "./extents.ts";
import type { PartialFile } from "./partial-file.ts";

/** Fewer, larger writes; the chunks of a connection are written without being copied together. */
const WRITE_BYTES = 1024 * 1024;
/** A chunk may hold on to a whole buffer of the network. */
const WRITE_CHUNKS = 64;
/** Of a slow connection, what came so long ago is written and claimed; a little of it, only after longer. */
const AGE_MS = 500;
const LITTLE_BYTES = 256 * 1024;
const MOST_AGE_MS = 5000;

/** Writes the bytes of one connection, which follow each other, and makes extents of them. */
export class ExtentWriter {
  readonly #partial: PartialFile;
  readonly #onExtent: (extent: Extent) => void;
  #chunks: Uint8Array[] = [];
  #chunkBytes = 0;
  /** Of the extent that is being made. */
  #offset: number;
  #length = 0;
  #checksum = 0;
  #since = 0;
  #openBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;

  /** @param onExtent told of every extent when it is written */
  constructor(partial: PartialFile, offset: number, onExtent: (extent: Extent) => void) {
    this.#partial = partial;
    this.#onExtent = onExtent;
    this.#offset = offset;
  }

  /** Bytes that came and are in no extent yet. */
  get openBytes(): number {
    return this.#openBytes;
  }

  /** @param bytes (n,) uint8, kept until they are written. Waits while the disk is slower than the network. */
  async push(bytes: Uint8Array): Promise<void> {
    const fits = MOST_EXTENT_BYTES - this.#length;
    const now = bytes.subarray(0, fits);
    if (this.#length === 0) this.#since = performance.now();
    this.#checksum = crc32(now, this.#checksum);
    this.#chunks.push(now);
    this.#chunkBytes += now.length;
    this.#length += now.length;
    this.#openBytes += now.length;
    if (this.#length === MOST_EXTENT_BYTES || this.#isOld()) await this.#flush(true);
    else if (this.#chunkBytes >= WRITE_BYTES || this.#chunks.length >= WRITE_CHUNKS) await this.#flush(false);
    if (bytes.length > fits) await this.push(bytes.subarray(fits));
  }

  /** What came is written, and an extent. */
  async finish(): Promise<void> {
    await this.#flush(true);
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #isOld(): boolean {
    const age = performance.now() - this.#since;
    return age > (this.#length < LITTLE_BYTES ? MOST_AGE_MS : AGE_MS);
  }

  /** Starts to write, when the last write is done. */
  async #flush(isExtent: boolean): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#length === 0) return;
    const chunks = this.#chunks;
    const extent = { offset: this.#offset, length: this.#length, checksum: this.#checksum };
    const position = extent.offset + extent.length - this.#chunkBytes;
    this.#chunks = [];
    this.#chunkBytes = 0;
    if (isExtent) {
      this.#offset += extent.length;
      this.#length = 0;
      this.#checksum = 0;
    }
    this.#writing = this.#partial.write(chunks, position).then(
      () => {
        if (!isExtent) return;
        this.#openBytes -= extent.length;
        this.#onExtent(extent);
      },
      (error: unknown) => {
        this.#failure = error;
      },
    );
  }
}
