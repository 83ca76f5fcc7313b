import { createHash, type Hash } from "node:crypto";

declare const cacheKeyBrand: unique symbol;
/** A full SHA-256, 64 lower-case hex digits. Paths of entries are built from nothing else. */
export type CacheKey = string & { readonly [cacheKeyBrand]: true };

/** What a key can be made of. Objects are told apart by names and values, whatever their order. */
export type KeyValue =
  | string
  | number
  | boolean
  | null
  | Uint8Array
  | readonly KeyValue[]
  | { readonly [name: string]: KeyValue | undefined };

/** Changes when the same fields come to mean something else: old entries are then never found again. */
const KEY_VERSION = 1;
const KEY = /^[0-9a-f]{64}$/;

export function isCacheKey(text: unknown): text is CacheKey {
  return typeof text === "string" && KEY.test(text);
}

/** All that decides about the rows of a picture. */
export interface RowsKeyFields {
  /** `pictureKey` of the decoded picture. */
  picture: CacheKey;
  /** What is done to the pixels: sizes, filter, padding, mean and deviation, tiles. */
  preprocessing: KeyValue;
  /** How many rows it may take and how they are merged; null: all of them, as the encoder gives them. */
  budget: KeyValue;
  /** SHA-256 of the projector's files. */
  projector: readonly string[];
  /** Type of the encoder's weights, such as "q8_0". */
  precision: string;
  /** Device that computes, such as "CPU". */
  device: string;
  /** Version of the package with the native libraries. */
  engineBuild: string;
  /** Keeps what one tenant's pictures left behind from another's questions. "" is everybody. */
  tenant: string;
}

/** All that decides about the state of the KV cache, beside the tokens and pictures in it. */
export interface SnapshotKeyFields {
  /** SHA-256 of the model's files. */
  model: readonly string[];
  /** SHA-256 of the projector's files. */
  projector: readonly string[];
  /** Types of the KV cache, such as "f16". */
  keyType: string;
  valueType: string;
  /** Everything else that changes the state's layout or numbers: flash attention, unified KV, rope scaling. */
  layout: KeyValue;
  device: string;
  engineBuild: string;
  tenant: string;
}

/** The rows of one picture in a prompt; `key` is its `rowsKey`. */
export interface PrefixPicture {
  readonly key: CacheKey;
  readonly rows: number;
}

/** One unit of a prompt: a token, or a picture. */
export type PrefixUnit = number | PrefixPicture;

/** Key of decoded pixels: (height, width, 3) uint8. The same bytes in another shape are another picture. */
export function pictureKey(image: { width: number; height: number; data: Uint8Array }): CacheKey {
  const { width, height, data } = image;
  return hashFields("picture", { width, height, data });
}

export function rowsKey(fields: RowsKeyFields): CacheKey {
  return hashFields("rows", { ...fields });
}

export function snapshotKey(fields: SnapshotKeyFields, units: readonly PrefixUnit[]): CacheKey {
  const chain = prefixChain(fields);
  chain.append(units);
  return chain.key();
}

/** Keys of growing prefixes of a prompt, in one pass over it. */
export interface PrefixChain {
  append(units: readonly PrefixUnit[]): void;
  /** `snapshotKey` of everything that was appended so far. */
  key(): CacheKey;
}

export function prefixChain(fields: SnapshotKeyFields): PrefixChain {
  const hash = beginFields("snapshot", { ...fields });
  return {
    append(units) {
      // Tokens and pictures differ in their first byte, which also says how long they are.
      const tokens = Buffer.allocUnsafe(units.length * 5);
      let end = 0;
      for (const unit of units) {
        if (typeof unit === "number") {
          tokens[end] = 0;
          end = tokens.writeInt32LE(unit, end + 1);
          continue;
        }
        const picture = Buffer.allocUnsafe(1 + 4 + 32);
        picture[0] = 1;
        picture.writeUInt32LE(unit.rows, 1);
        picture.write(unit.key, 5, "hex");
        hash.update(tokens.subarray(0, end)).update(picture);
        end = 0;
      }
      hash.update(tokens.subarray(0, end));
    },
    key: () => hash.copy().digest("hex") as CacheKey,
  };
}

/** A prefix of a prompt that ends with a picture. */
export interface PrefixKey {
  key: CacheKey;
  /** Units in it. */
  units: number;
}

/** The prefixes of a prompt that end with a picture, longest first: what a snapshot may exist of. */
export function pictureBoundaryKeys(fields: SnapshotKeyFields, units: readonly PrefixUnit[]): PrefixKey[] {
  const chain = prefixChain(fields);
  const keys: PrefixKey[] = [];
  let start = 0;
  for (const [index, unit] of units.entries()) {
    if (typeof unit === "number") continue;
    chain.append(units.slice(start, index + 1));
    start = index + 1;
    keys.unshift({ key: chain.key(), units: start });
  }
  return keys;
}

/** SHA-256 over a label and a value: different labels or values are never written as the same bytes. */
export function hashFields(label: string, value: KeyValue): CacheKey {
  return beginFields(label, value).digest("hex") as CacheKey;
}

function beginFields(label: string, value: KeyValue): Hash {
  const hash = createHash("sha256");
  updateValue(hash, ["mull", KEY_VERSION, label]);
  updateValue(hash, value);
  return hash;
}

/** Every value begins with its type, and what can be long or many then says how long: no value continues another. */
function updateValue(hash: Hash, value: KeyValue): void {
  if (value === null) hash.update("0");
  else if (typeof value === "boolean") hash.update(value ? "T" : "F");
  else if (typeof value === "number") {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeDoubleLE(value);
    hash.update("n").update(bytes);
  } else if (typeof value === "string") {
    // UTF-8 would write all lone surrogates alike.
    const bytes = Buffer.from(value, "utf16le");
    hash.update("s").update(count(bytes.length)).update(bytes);
  } else if (value instanceof Uint8Array) hash.update("b").update(count(value.byteLength)).update(value);
  else if (isList(value)) {
    hash.update("[").update(count(value.length));
    for (const item of value) updateValue(hash, item);
  } else {
    const names = Object.keys(value).filter((name) => value[name] !== undefined);
    hash.update("{").update(count(names.length));
    for (const name of names.sort()) {
      updateValue(hash, name);
      updateValue(hash, value[name] as KeyValue);
    }
  }
}

function isList(value: KeyValue): value is readonly KeyValue[] {
  return Array.isArray(value);
}

function count(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
