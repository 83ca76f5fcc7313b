/** Numbers of the value types in a GGUF header (`enum gguf_type`). */
export const METADATA_TYPE_IDS = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

export type MetadataTypeName = keyof typeof METADATA_TYPE_IDS;
export type NumberTypeName =
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "uint32"
  | "int32"
  | "float32"
  | "float64";
export type BigIntTypeName = "uint64" | "int64";
/** Everything that can be the item of an array: arrays do not nest. */
export type ItemTypeName = Exclude<MetadataTypeName, "array">;

/** Arrays of numbers are kept as they are in the file; a vocabulary of 100,000 scores takes 400 kB. */
export type NumericArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** One value of a GGUF header with its exact type. What the reader gives, the writer takes. */
export type MetadataValue =
  | { type: NumberTypeName; value: number }
  | { type: BigIntTypeName; value: bigint }
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string }
  | MetadataArray;

export type MetadataArray =
  | { type: "array"; items: NumberTypeName; value: NumericArray }
  | { type: "array"; items: BigIntTypeName; value: BigUint64Array | BigInt64Array }
  /** One byte per item, 0 or 1. */
  | { type: "array"; items: "bool"; value: Uint8Array }
  | { type: "array"; items: "string"; value: readonly string[] };

const ARRAY_CLASSES = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
  bool: Uint8Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
};

export function itemBytes(items: Exclude<ItemTypeName, "string">): number {
  return ARRAY_CLASSES[items].BYTES_PER_ELEMENT;
}

/** An array of zeros. Its bytes are in host order, which is the file's on every platform that has an engine. */
export function newItems(
  items: Exclude<ItemTypeName, "string">,
  count: number,
): NumericArray | BigUint64Array | BigInt64Array {
  return new ARRAY_CLASSES[items](count);
}

const TYPE_NAME_BY_ID = new Map(
  Object.entries(METADATA_TYPE_IDS).map(([name, id]) => [id as number, name as MetadataTypeName]),
);

export function metadataTypeName(id: number): MetadataTypeName | undefined {
  return TYPE_NAME_BY_ID.get(id);
}

export const uint16 = (value: number): MetadataValue => ({ type: "uint16", value });
export const uint32 = (value: number): MetadataValue => ({ type: "uint32", value });
export const int32 = (value: number): MetadataValue => ({ type: "int32", value });
export const float32 = (value: number): MetadataValue => ({ type: "float32", value });
export const bool = (value: boolean): MetadataValue => ({ type: "bool", value });
export const string = (value: string): MetadataValue => ({ type: "string", value });
export const strings = (value: readonly string[]): MetadataValue => ({
  type: "array",
  items: "string",
  value,
});
export const int32s = (value: ArrayLike<number>): MetadataValue => ({
  type: "array",
  items: "int32",
  value: Int32Array.from(value),
});
export const float32s = (value: ArrayLike<number>): MetadataValue => ({
  type: "array",
  items: "float32",
  value: Float32Array.from(value),
});
