import { type CacheKey, rowsKey } from "../cache/cache-key.ts";
import type { CacheClient } from "../cache/cache-client.ts";
import type { ImageEncoder } from "../encoders/image-encoder.ts";
import { type RowPlaces, type RowsPart, rowsOf, rowsParts } from "../encoders/picture-layout.ts";
import { mergedStep, reduceRows, reductionMethod } from "../encoders/reduce-rows.ts";
import { MullError } from "../spec/errors.ts";
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
  /** Where each row lies, for models whose rows have coordinates. */
  places: RowPlaces | undefined;
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
    const parts = rowsParts(this.#encoder.layout(image.width, image.height, unit.limit));
    const part = parts[unit.part];
    if (part === undefined) throw new MullError("internal", `The picture has no part ${unit.part}.`);
    const places = part.places;
    const name = (rows: number): string => `${tenant}\n${unit.picture}\n${rows}`;
    const native = rowsOf(parts);
    const isWhole = parts.length === 1;
    const reduced = isWhole ? this.#kept.get(name(unit.rows)) : undefined;
    if (reduced !== undefined) {
      this.#keep(name(unit.rows), reduced);
      return {
        rows: reduced,
        places,
        facts: { ...this.#describe(unit, image), cached: true, cachedIn: "rows" },
      };
    }
    // All rows are what is kept on disk: fewer of them are made again in no time.
    const diskKey = await this.#diskKeyOf(unit.picture, native, tenant);
    const known =
      this.#kept.get(name(native)) ??
      (diskKey === undefined ? undefined : await this.#fromDisk(diskKey, native));
    const encoded = known ?? (await this.#encode(unit, native, image, diskKey, signal)); // (native, width) float32
    this.#keep(name(native), encoded);
    const rows = this.#partOf(encoded, parts, unit);
    if (isWhole) this.#keep(name(unit.rows), rows);
    const facts = this.#describe(unit, image);
    if (known !== undefined) return { rows, places, facts: { ...facts, cached: true, cachedIn: "rows" } };
    return { rows, places, facts: { ...facts, cached: false } };
  }

  /** The rows of one part of a picture; of one that is whole, as many as it may take. */
  #partOf(encoded: Float32Array, parts: readonly RowsPart[], unit: ImageUnit): Float32Array {
    const width = this.#encoder.embeddingLength;
    if (parts.length === 1) return reduceRows(encoded, { width, grid: parts[0]?.grid, target: unit.rows });
    const start = rowsOf(parts.slice(0, unit.part));
    return encoded.subarray(start * width, (start + unit.rows) * width);
  }

  async #encode(
    unit: ImageUnit,
    native: number,
    image: RgbImage,
    diskKey: CacheKey | undefined,
    signal: AbortSignal,
  ): Promise<Float32Array> {
    const preprocessed = this.#encoder.preprocess(image, unit.limit);
    this.#remember(unit, preprocessed);
    signal.throwIfAborted();
    const rows = await this.#encoder.encode(preprocessed, signal); // (native, embeddingLength) float32
    if (diskKey !== undefined) {
      const { width, height } = image;
      const { model } = this.#identity;
      this.#cache.putRows(diskKey, rows, { model, pictures: [{ width, height }], tokens: native });
    }
    return rows;
  }

  /** What a receipt says of a picture that was found in the KV cache. */
  facts(unit: SequenceUnit | undefined, image: RgbImage | undefined): Facts | undefined {
    return typeof unit === "object" && image !== undefined ? this.#describe(unit, image) : undefined;
  }

  /** Key of a unit's rows in snapshots; undefined while the digests are not known. */
  diskKey(unit: ImageUnit, tenant: string): Promise<CacheKey | undefined> {
    return this.#diskKeyOf(unit.key, unit.rows, tenant);
  }

  async #diskKeyOf(picture: string, rows: number, tenant: string): Promise<CacheKey | undefined> {
    const digests = await this.#identity.digests();
    if (digests === undefined) return undefined;
    const { encoder, device, engineBuild } = this.#identity;
    return rowsKey({
      picture: picture as CacheKey,
      preprocessing: this.#encoder.preprocessing,
      budget: { rows, method: reductionMethod(), version: 1 },
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
    const parts = rowsParts(this.#encoder.layout(image.width, image.height, unit.limit));
    const native = rowsOf(parts);
    const seen =
      this.#seen.get(unit.picture) ?? this.#remember(unit, this.#encoder.preprocess(image, unit.limit));
    return describePicture(parts.length === 1 ? unit.rows : native, native, seen);
  }

  #remember({ picture }: ImageUnit, { seen, steps }: Seen): Seen {
    this.#seen.set(picture, { seen, steps });
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
