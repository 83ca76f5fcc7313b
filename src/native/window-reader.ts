import { type FileHandle, open } from "node:fs/promises";
import { MullError } from "../spec/errors.ts";

/** Enough to make a read worth its round trip, and little enough to convert without a stall of the event loop. */
export const WINDOW_BYTES: number = 4 * 2 ** 20;

/** Reads a file front to back through one buffer: small neighbours come with one read of the file. */
export class WindowReader {
  readonly path: string;
  readonly #handle: FileHandle;
  #buffer: Uint8Array = new Uint8Array(WINDOW_BYTES);
  #start = 0;
  #length = 0;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** @throws MullError `model_not_found` */
  static async open(path: string): Promise<WindowReader> {
    try {
      return new WindowReader(path, await open(path, "r"));
    } catch (cause) {
      throw new MullError("model_not_found", `${path} cannot be opened any more.`, { cause });
    }
  }

  /**
   * The bytes at that position of the file; valid until the next read.
   * @throws MullError `invalid_model` when the file became shorter
   */
  async read(position: number, length: number): Promise<Uint8Array> {
    const offset = position - this.#start;
    if (offset >= 0 && offset + length <= this.#length) return this.#buffer.subarray(offset, offset + length);
    if (length > this.#buffer.length) this.#buffer = new Uint8Array(length);
    this.#start = position;
    this.#length = 0;
    while (this.#length < length) {
      const free = this.#buffer.length - this.#length;
      const { bytesRead } = await this.#handle.read(
        this.#buffer,
        this.#length,
        free,
        position + this.#length,
      );
      if (bytesRead === 0)
        throw new MullError("invalid_model", `${this.path} became shorter while it was read.`);
      this.#length += bytesRead;
    }
    return this.#buffer.subarray(0, length);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
