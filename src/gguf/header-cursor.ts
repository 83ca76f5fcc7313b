import { isUtf8 } from "node:buffer";
import type { FileHandle } from "node:fs/promises";
import { invalidModel } from "./invalid-model.ts";

/** Most memory that headers may take, in bytes, over all files of a split model: what is kept… */
export const MAX_KEPT_BYTES: number = 48 * 2 ** 20;
/** …and what a read in progress may need on top of it, which bounds the length of one string. */
export const MAX_STRING_BYTES: number = 16 * 2 ** 20;
const CHUNK_BYTES = 256 * 1024;

/** Counts what a header makes us allocate, so that a hostile one ends in an error and not in the swap. */
export class HeaderBudget {
  #bytes = 0;

  /** @throws MullError `invalid_model` once the sum passes `MAX_KEPT_BYTES` */
  spend(bytes: number, path: string): void {
    this.#bytes += bytes;
    if (this.#bytes > MAX_KEPT_BYTES) {
      throw invalidModel(path, `the header needs more than ${MAX_KEPT_BYTES / 2 ** 20} MB of memory`);
    }
  }
}

/** Reads a header front to back, in bounded chunks. Every read is checked against the end of the file. */
export class HeaderCursor {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #fileBytes: number;
  readonly #budget: HeaderBudget;
  readonly #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** What was read last: the chunk, or memory of its own for a string that is longer than a chunk. */
  #buffer: Buffer = this.#chunk.subarray(0, 0);
  /** Next unread byte of `#buffer`. */
  #start = 0;
  /** Position in the file of the first byte after `#buffer`. */
  #nextChunk = 0;

  constructor(handle: FileHandle, path: string, fileBytes: number, budget: HeaderBudget) {
    this.path = path;
    this.#handle = handle;
    this.#fileBytes = fileBytes;
    this.#budget = budget;
  }

  /** Position of the next unread byte in the file. */
  get offset(): number {
    return this.#nextChunk - (this.#buffer.length - this.#start);
  }

  get bytesLeft(): number {
    return this.#fileBytes - this.offset;
  }

  async uint32(what: string): Promise<number> {
    return (await this.#take(4, what)).readUInt32LE(0);
  }

  async uint64(what: string): Promise<bigint> {
    return (await this.#take(8, what)).readBigUInt64LE(0);
  }

  /** A 64-bit number of things, of which there can be at most `most`. */
  async count(what: string, most: number): Promise<number> {
    const count = await this.uint64(what);
    if (count > BigInt(most))
      throw invalidModel(this.path, `${what} is ${count}; at most ${most} are accepted`);
    return Number(count);
  }

  /** Raw bytes; the view is valid until the next read. */
  async bytes(length: number, what: string): Promise<Buffer> {
    return this.#take(length, what);
  }

  /** Text; bytes that are not UTF-8 become U+FFFD. */
  async string(what: string): Promise<string> {
    return this.#decode(await this.#take(await this.#stringLength(what), what));
  }

  /** A key or a tensor name: 1 to `maxBytes` bytes of UTF-8 without control characters. */
  async name(what: string, maxBytes: number): Promise<string> {
    const length = await this.#stringLength(what);
    if (length < 1 || length > maxBytes) {
      throw invalidModel(this.path, `${what} has ${length} bytes instead of 1 to ${maxBytes}`);
    }
    const bytes = await this.#take(length, what);
    if (!isUtf8(bytes) || bytes.some((byte) => byte < 0x20 || byte === 0x7f)) {
      throw invalidModel(this.path, `${what} is not plain text`);
    }
    return this.#decode(bytes);
  }

  async strings(count: number, what: string): Promise<string[]> {
    this.#checkArray(count, 8, what);
    this.#budget.spend(count * 8, this.path);
    const strings: string[] = Array.from({ length: count });
    for (let index = 0; index < count; index++) {
      // Vocabularies are long: whatever lies in the buffer is read without a promise per string.
      const available = this.#buffer.length - this.#start;
      const length = available < 8 ? Infinity : this.#buffer.readUInt32LE(this.#start);
      const small = length <= available - 8 && this.#buffer.readUInt32LE(this.#start + 4) === 0;
      if (small) {
        const start = this.#start + 8;
        this.#start = start + length;
        strings[index] = this.#decode(this.#buffer, start, this.#start);
      } else {
        strings[index] = await this.string(what);
      }
    }
    return strings;
  }

  /** Fills `into` with the next bytes of the file. The memory of `into` is the caller's to account for. */
  async readInto(into: Uint8Array, what: string): Promise<void> {
    if (into.length > this.bytesLeft) throw invalidModel(this.path, `the file ends inside ${what}`);
    const buffered = this.#buffer.subarray(this.#start, this.#start + into.length);
    into.set(buffered);
    this.#start += buffered.length;
    if (buffered.length === into.length) return;
    await this.#readFile(into.subarray(buffered.length), this.#nextChunk);
    this.#nextChunk += into.length - buffered.length;
    this.#buffer = this.#buffer.subarray(0, 0);
    this.#start = 0;
  }

  /** Checks that `count` items of `itemBytes` can still follow, then counts the memory they will take. */
  reserve(count: number, itemBytes: number, what: string): void {
    this.#checkArray(count, itemBytes, what);
    this.#budget.spend(count * itemBytes, this.path);
  }

  #checkArray(count: number, itemBytes: number, what: string): void {
    if (count * itemBytes > this.bytesLeft) {
      throw invalidModel(this.path, `${what} has ${count} items, more than the rest of the file can hold`);
    }
  }

  async #stringLength(what: string): Promise<number> {
    const length = await this.count(`the length of ${what}`, MAX_STRING_BYTES);
    if (length > this.bytesLeft) {
      throw invalidModel(
        this.path,
        `${what} has ${length} bytes, but only ${this.bytesLeft} are left in the file`,
      );
    }
    return length;
  }

  #decode(bytes: Buffer, start = 0, end: number = bytes.length): string {
    // V8 keeps a byte per character of ASCII, behind a header of 16 and a pointer…
    this.#budget.spend(24 + end - start, this.path);
    const text = bytes.toString("utf8", start, end);
    // … and two bytes per character as soon as one of them is not ASCII.
    if (text.length < end - start) this.#budget.spend(2 * text.length - (end - start), this.path);
    return text;
  }

  async #take(length: number, what: string): Promise<Buffer> {
    if (this.#buffer.length - this.#start < length) await this.#refill(length, what);
    const start = this.#start;
    this.#start += length;
    return this.#buffer.subarray(start, this.#start);
  }

  async #refill(length: number, what: string): Promise<void> {
    const offset = this.offset;
    const size = Math.min(Math.max(length, CHUNK_BYTES), this.#fileBytes - offset);
    if (size < length) throw invalidModel(this.path, `the file ends inside ${what}`);
    const buffer = size <= CHUNK_BYTES ? this.#chunk.subarray(0, size) : Buffer.allocUnsafeSlow(size);
    await this.#readFile(buffer, offset);
    this.#buffer = buffer;
    this.#start = 0;
    this.#nextChunk = offset + size;
  }

  async #readFile(into: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < into.length;) {
      const { bytesRead } = await this.#handle.read(into, done, into.length - done, offset + done);
      if (bytesRead === 0) throw invalidModel(this.path, "the file became shorter while it was read");
      done += bytesRead;
    }
  }
}
