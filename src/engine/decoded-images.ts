import type { MediaItem } from "../media/media-item.ts";
import type { MediaDecoder } from "../media/media-process.ts";

type Decoded = Awaited<ReturnType<MediaDecoder["decode"]>>;

/** A chat sends its pictures with every turn; pixels of the last ones are kept, this many bytes of them. */
const KEPT_BYTES = 64 * 1024 * 1024;

/** Decodes pictures and keeps the latest, by tenant and SHA-256 of the file. */
export class DecodedImages {
  readonly #decoder: MediaDecoder;
  /** In order of last use. */
  readonly #kept = new Map<string, Decoded>();

  constructor(decoder: MediaDecoder) {
    this.#decoder = decoder;
  }

  /** @param tenant whose picture it is: how long it takes tells nobody else that it was here */
  async get(item: MediaItem, tenant: string, signal: AbortSignal | undefined): Promise<Decoded> {
    const key = `${tenant}\n${item.sha256}`;
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    const decoded = known ?? (await this.#decoder.decode(item, signal === undefined ? {} : { signal }));
    this.#kept.set(key, decoded);
    this.#forgetOldest();
    // The same bytes may come back under another name.
    return { ...decoded, receipt: { ...decoded.receipt, name: item.name } };
  }

  #forgetOldest(): void {
    let bytes = [...this.#kept.values()].reduce((sum, { image }) => sum + image.data.length, 0);
    for (const [key, { image }] of this.#kept) {
      if (bytes <= KEPT_BYTES) return;
      bytes -= image.data.length;
      this.#kept.delete(key);
    }
  }
}
