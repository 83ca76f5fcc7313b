import { type CacheKey, rowsKey } from "../cache/cache-key.ts";
import type { CacheClient } from "../cache/cache-client.ts";
import type { ImageEncoder } from "../encoders/image-encoder.ts";
import { mergedStep, reduceRows, reductionMethod } from "../encoders/reduce-rows.ts";
import type { RgbImage } from "../media/rgb-image.ts";
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
type Seen = Pick<EncodedImageFacts, "seen" | "steps">;

/** Pictures to rows of the text model: from memory, from disk, else from the encoder. */
export class PictureRows {
  readonly #encoder: ImageEncoder;
  readonly #cache: CacheClient;
  readonly #identity: CacheIdentity;
  /** By tenant, pixels and row count, in order of last use. */
  readonly #kept = new Map<string, Float32Array>();
  /** What preprocessing did, by pixels. */
  readonly #seen = new Map<string, Seen>();

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
    { client: tenant, signal }: { client: string; signal: AbortSignal },
  ): Promise<Encoded> {
    const native = this.#encoder.countTokens(image.width, image.height);
    const name = (rows: number): string => `${tenant}\n${unit.key}\n${rows}`;
    const kept = this.#kept.get(name(unit.rows));
    if (kept !== undefined) {
      this.#keep(name(unit.rows), kept);
      return { rows: kept, facts: { ...this.#describe(unit, image), cached: true, cachedIn: "rows" } };
    }
    // All rows are what is kept on disk: fewer of them are made again in no time.
    const whole = { key: unit.key, rows: native };
    const diskKey = await this.diskKey(whole, tenant);
    const known =
      this.#kept.get(name(native)) ??
      (diskKey === undefined ? undefined : await this.#fromDisk(diskKey, native));
    const encoded = known ?? (await this.#encode(whole, image, diskKey, signal)); // (native, width) float32
    this.#keep(name(native), encoded);
    const width = this.#encoder.embeddingLength;
    const grid = this.#encoder.grid(image.width, image.height);
    const rows = reduceRows(encoded, { width, grid, target: unit.rows });
    this.#keep(name(unit.rows), rows);
    const facts = this.#describe(unit, image);
    if (known !== undefined) return { rows, facts: { ...facts, cached: true, cachedIn: "rows" } };
    return { rows, facts: { ...facts, cached: false } };
  }

  async #encode(
    unit: ImageUnit,
    image: RgbImage,
    diskKey: CacheKey | undefined,
    signal: AbortSignal,
  ): Promise<Float32Array> {
    const preprocessed = this.#encoder.preprocess(image);
    this.#remember(unit, preprocessed);
    signal.throwIfAborted();
    const rows = await this.#encoder.encode(preprocessed, signal); // (unit.rows, embeddingLength) float32
    if (diskKey !== undefined) {
      const { width, height } = image;
      const { model } = this.#identity;
      this.#cache.putRows(diskKey, rows, { model, pictures: [{ width, height }], tokens: unit.rows });
    }
    return rows;
  }

  /** What a receipt says of a picture that was found in the KV cache. */
  facts(unit: SequenceUnit | undefined, image: RgbImage | undefined): Facts | undefined {
    return typeof unit === "object" && image !== undefined ? this.#describe(unit, image) : undefined;
  }

  /** Key of a picture's rows, for all that is kept on disk of it; undefined while the digests are not known. */
  async diskKey(unit: ImageUnit, tenant: string): Promise<CacheKey | undefined> {
    const digests = await this.#identity.digests();
    if (digests === undefined) return undefined;
    const { encoder, device, engineBuild } = this.#identity;
    return rowsKey({
      picture: unit.key as CacheKey,
      preprocessing: this.#encoder.preprocessing,
      budget: { rows: unit.rows, method: reductionMethod(), version: 1 },
      projector: digests.projector,
      precision: encoder,
      device,
      engineBuild,
      tenant,
    });
  }

  async #fromDisk(key: CacheKey, rows: number): Promise<Float32Array | undefined> {
    const found = await this.#cache.getRows(key);
    return found?.rows.length === rows * this.#encoder.embeddingLength ? found.rows : undefined;
  }

  #describe(unit: ImageUnit, image: RgbImage): Facts {
    const native = this.#encoder.countTokens(image.width, image.height);
    const seen = this.#seen.get(unit.key) ?? this.#remember(unit, this.#encoder.preprocess(image));
    return describePicture(unit.rows, native, seen);
  }

  #remember({ key }: ImageUnit, { seen, steps }: Seen): Seen {
    this.#seen.set(key, { seen, steps });
    if (this.#seen.size > KEPT_FACTS) this.#seen.delete(this.#seen.keys().next().value as string);
    return { seen, steps };
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
export function describePicture(rows: number, native: number, { seen, steps }: Seen): Facts {
  const merged = rows < native ? [mergedStep(rows, native)] : [];
  return { seen, steps: [...steps, ...merged], tokens: rows };
}
