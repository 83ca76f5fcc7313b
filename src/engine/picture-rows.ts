import { type CacheKey, type KeyValue, rowsKey } from "../cache/cache-key.ts";
import type { CacheClient } from "../cache/cache-client.ts";
import type { ImageEncoder } from "../encoders/image-encoder.ts";
import { reduceRows } from "../encoders/reduce-rows.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { CacheIdentity } from "./cache-identity.ts";
import type { EncodedImageFacts } from "./protocol.ts";
import type { ImageUnit, SequenceUnit } from "./sequence.ts";

/** Rows kept in memory, in bytes: some 25 pictures of a 7B model. */
const KEPT_BYTES = 256 * 1024 * 1024;
/** Pictures whose facts are kept, so that a receipt can be written without looking at the pixels again. */
const KEPT_FACTS = 1000;

interface Encoded {
  /** (unit.rows, embeddingLength) float32 */
  rows: Float32Array;
  facts: EncodedImageFacts;
}

type Facts = Pick<EncodedImageFacts, "seen" | "steps" | "tokens">;

/** Pictures to rows of the text model: from memory, from disk, else from the encoder. */
export class PictureRows {
  readonly #encoder: ImageEncoder;
  readonly #cache: CacheClient;
  readonly #identity: CacheIdentity;
  /** By tenant, pixels and row count, in order of last use. */
  readonly #kept = new Map<string, Float32Array>();
  readonly #facts = new Map<string, Facts>();

  constructor(encoder: ImageEncoder, cache: CacheClient, identity: CacheIdentity) {
    this.#encoder = encoder;
    this.#cache = cache;
    this.#identity = identity;
  }

  /**
   * @throws MullError `aborted`, `out_of_memory`
   */
  async rows(
    unit: ImageUnit,
    image: RgbImage,
    { tenant, signal }: { tenant: string; signal: AbortSignal },
  ): Promise<Encoded> {
    const name = `${tenant}\n${unit.key}\n${unit.rows}`;
    const key = await this.#diskKey(unit, tenant);
    const known = this.#kept.get(name) ?? (key === undefined ? undefined : await this.#fromDisk(key, unit));
    if (known !== undefined) {
      this.#keep(name, known);
      return { rows: known, facts: { ...this.#describe(unit, image), cached: true, cachedIn: "rows" } };
    }
    const preprocessed = this.#encoder.preprocess(image);
    signal.throwIfAborted();
    const encoded = await this.#encoder.encode(preprocessed, signal); // (tokens, embeddingLength) float32
    const width = this.#encoder.embeddingLength;
    const grid = this.#encoder.grid(image.width, image.height);
    const rows =
      encoded.length === unit.rows * width
        ? encoded
        : reduceRows(encoded, { width, target: unit.rows, ...(grid === undefined ? {} : { grid }) });
    const facts = this.#remember(unit, image, preprocessed);
    this.#keep(name, rows);
    if (key !== undefined) {
      const { width: columns, height } = image;
      const { model } = this.#identity;
      this.#cache.putRows(key, rows, { model, pictures: [{ width: columns, height }], tokens: unit.rows });
    }
    return { rows, facts: { ...facts, cached: false } };
  }

  /** What a receipt says of a picture that was found in the KV cache. */
  facts(unit: SequenceUnit | undefined, image: RgbImage | undefined): Facts | undefined {
    return typeof unit === "object" && image !== undefined ? this.#describe(unit, image) : undefined;
  }

  /** Key of a picture's rows on disk; undefined while the files' digests are not known. */
  async diskKey(unit: ImageUnit, tenant: string): Promise<CacheKey | undefined> {
    return this.#diskKey(unit, tenant);
  }

  async #diskKey(unit: ImageUnit, tenant: string): Promise<CacheKey | undefined> {
    const digests = await this.#identity.digests();
    if (digests === undefined) return undefined;
    const { encoder } = this.#identity;
    const budget: KeyValue = { rows: unit.rows, version: 1 };
    return rowsKey({
      picture: unit.key as CacheKey,
      preprocessing: this.#encoder.preprocessing,
      budget,
      projector: digests.projector,
      precision: encoder,
      device: this.#identity.device,
      engineBuild: this.#identity.engineBuild,
      tenant,
    });
  }

  async #fromDisk(key: CacheKey, unit: ImageUnit): Promise<Float32Array | undefined> {
    const found = await this.#cache.getRows(key);
    return found?.rows.length === unit.rows * this.#encoder.embeddingLength ? found.rows : undefined;
  }

  #describe(unit: ImageUnit, image: RgbImage): Facts {
    const known = this.#facts.get(`${unit.key}\n${unit.rows}`);
    return known ?? this.#remember(unit, image, this.#encoder.preprocess(image));
  }

  #remember(
    unit: ImageUnit,
    image: RgbImage,
    { seen, steps }: { seen: { width: number; height: number }; steps: readonly MediaStep[] },
  ): Facts {
    const facts = describePicture(unit.rows, this.#encoder.countTokens(image.width, image.height), {
      seen,
      steps,
    });
    this.#facts.set(`${unit.key}\n${unit.rows}`, facts);
    if (this.#facts.size > KEPT_FACTS) this.#facts.delete(this.#facts.keys().next().value as string);
    return facts;
  }

  #keep(name: string, rows: Float32Array): void {
    this.#kept.delete(name);
    this.#kept.set(name, rows);
    let bytes = [...this.#kept.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    for (const [oldest, { byteLength }] of this.#kept) {
      if (bytes <= KEPT_BYTES) return;
      bytes -= byteLength;
      this.#kept.delete(oldest);
    }
  }
}

/** What the encoder's half of a receipt says. */
export function describePicture(
  rows: number,
  native: number,
  { seen, steps }: { seen: { width: number; height: number }; steps: readonly MediaStep[] },
): Facts {
  const merged: MediaStep[] =
    rows < native ? [{ action: "merged", tokens: rows, of: native, method: MERGE_METHOD }] : [];
  return { seen, steps: [...steps, ...merged], tokens: rows };
}

/** The default of `reduceRows`, in words. */
const MERGE_METHOD = "grid average";
