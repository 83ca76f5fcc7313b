import type { HeaderCursor } from "./header-cursor.ts";
import { invalidModel, quote } from "./invalid-model.ts";
import {
  type ItemTypeName,
  type MetadataArray,
  type MetadataTypeName,
  type MetadataValue,
  type NumericArray,
  itemBytes,
  metadataTypeName,
  newItems,
} from "./metadata.ts";
import { MullError } from "../spec/errors.ts";
import { type TensorTypeName, tensorBytes, tensorTypeName } from "./tensor-types.ts";

export const DEFAULT_ALIGNMENT = 32;
/** Native code finds duplicates by comparing all pairs, so counts far beyond any real model would hang it. */
export const MAX_TENSORS = 16_384;
export const MAX_KEYS = 8_192;
const MAX_KEY_BYTES = 65_535;
/** ggml keeps names in 64 bytes with a NUL at the end. */
const MAX_TENSOR_NAME_BYTES = 63;
const MAX_ARRAY_ITEMS = 2 ** 24;
const MAX_ALIGNMENT = 2 ** 20;

/** A tensor as the header lists it. */
export interface TensorHeader {
  name: string;
  type: TensorTypeName;
  typeId: number;
  /** Lengths in ggml order: `shape[0]` is the row length, the fastest to vary. */
  shape: readonly number[];
  /** Size of the data. */
  bytes: number;
  /** Start of the data, counted from the start of the data section. */
  dataOffset: bigint;
}

export interface Header {
  version: number;
  alignment: number;
  metadata: Map<string, MetadataValue>;
  tensors: TensorHeader[];
  /** Position of the data section in the file. */
  dataStart: number;
}

/**
 * Reads everything in front of the data section and refuses whatever native code might stumble over.
 * Layout of the container: the GGUF specification in ggml's docs/gguf.md and ggml/src/gguf.cpp.
 */
export async function parseHeader(cursor: HeaderCursor): Promise<Header> {
  await cursor.uint32("the magic number");
  const version = await parseVersion(cursor);
  const tensorCount = await cursor.count("the number of tensors", MAX_TENSORS);
  const keyCount = await cursor.count("the number of metadata keys", MAX_KEYS);
  const metadata = await parseMetadata(cursor, keyCount);
  const alignment = alignmentOf(metadata, cursor.path);
  const tensors = await parseTensors(cursor, tensorCount);
  return { version, alignment, metadata, tensors, dataStart: align(cursor.offset, alignment) };
}

export function align(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

async function parseVersion(cursor: HeaderCursor): Promise<number> {
  const version = await cursor.uint32("the version");
  if (version === 2 || version === 3) return version;
  if (version !== 0 && (version & 0xffff) === 0) {
    const hint = "Convert the model again with --bigendian left out.";
    throw invalidModel(cursor.path, "the file is big endian; mull reads little-endian GGUF", hint);
  }
  const hint =
    version > 3 ? "Update mull, or use an older conversion of the model." : "Convert the model again.";
  throw invalidModel(cursor.path, `GGUF version ${version} is not supported; versions 2 and 3 are`, hint);
}

async function parseMetadata(cursor: HeaderCursor, keyCount: number): Promise<Map<string, MetadataValue>> {
  const metadata = new Map<string, MetadataValue>();
  for (let index = 0; index < keyCount; index++) {
    const key = await cursor.name(`metadata key ${index + 1} of ${keyCount}`, MAX_KEY_BYTES);
    if (metadata.has(key)) throw invalidModel(cursor.path, `metadata key ${quote(key)} appears twice`);
    const what = `the value of ${quote(key)}`;
    const type = await parseType(cursor, what);
    metadata.set(
      key,
      type === "array" ? await parseArray(cursor, what) : await parseScalar(cursor, type, what),
    );
  }
  return metadata;
}

async function parseType(cursor: HeaderCursor, what: string): Promise<MetadataTypeName> {
  const id = await cursor.uint32(what);
  const type = metadataTypeName(id);
  if (type === undefined) throw invalidModel(cursor.path, `${what} has the unknown type ${id}`);
  return type;
}

async function parseScalar(cursor: HeaderCursor, type: ItemTypeName, what: string): Promise<MetadataValue> {
  if (type === "string") return { type, value: await cursor.string(what) };
  const [value] = await parseItems(cursor, type, 1, what);
  return { type, value: type === "bool" ? value === 1 : value } as MetadataValue;
}

async function parseArray(cursor: HeaderCursor, what: string): Promise<MetadataArray> {
  const items = await parseType(cursor, what);
  if (items === "array") throw invalidModel(cursor.path, `${what} is an array of arrays`);
  const count = await cursor.count(`the number of items in ${what}`, MAX_ARRAY_ITEMS);
  if (items === "string") return { type: "array", items, value: await cursor.strings(count, what) };
  return { type: "array", items, value: await parseItems(cursor, items, count, what) } as MetadataArray;
}

async function parseItems(
  cursor: HeaderCursor,
  type: Exclude<ItemTypeName, "string">,
  count: number,
  what: string,
): Promise<NumericArray | BigUint64Array | BigInt64Array> {
  cursor.reserve(count, itemBytes(type), what);
  const items = newItems(type, count);
  const bytes = new Uint8Array(items.buffer);
  await cursor.readInto(bytes, what);
  if (type === "bool" && bytes.some((byte) => byte > 1)) {
    throw invalidModel(cursor.path, `${what} holds a bool that is neither 0 nor 1`);
  }
  return items;
}

function alignmentOf(metadata: ReadonlyMap<string, MetadataValue>, path: string): number {
  const entry = metadata.get("general.alignment");
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  if (entry.type !== "uint32") {
    throw invalidModel(path, `"general.alignment" is of type ${entry.type} instead of uint32`);
  }
  const alignment = entry.value;
  // The specification asks for a multiple of 8; native code asks for a power of two.
  if (alignment < 8 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) !== 0) {
    const wanted = `a power of two from 8 to ${MAX_ALIGNMENT}`;
    throw invalidModel(path, `"general.alignment" is ${alignment} instead of ${wanted}`);
  }
  return alignment;
}

async function parseTensors(cursor: HeaderCursor, tensorCount: number): Promise<TensorHeader[]> {
  const tensors: TensorHeader[] = [];
  const names = new Set<string>();
  for (let index = 0; index < tensorCount; index++) {
    const position = `tensor ${index + 1} of ${tensorCount}`;
    const name = await cursor.name(`the name of ${position}`, MAX_TENSOR_NAME_BYTES);
    if (names.has(name)) throw invalidModel(cursor.path, `tensor ${quote(name)} appears twice`);
    names.add(name);
    tensors.push(await parseTensor(cursor, name));
  }
  return tensors;
}

async function parseTensor(cursor: HeaderCursor, name: string): Promise<TensorHeader> {
  const what = `tensor ${quote(name)}`;
  const dimensions = await cursor.uint32(`the shape of ${what}`);
  if (dimensions < 1 || dimensions > 4) {
    throw invalidModel(cursor.path, `${what} has ${dimensions} dimensions instead of 1 to 4`);
  }
  const shape: number[] = [];
  for (let dimension = 0; dimension < dimensions; dimension++) {
    // Lengths are signed in the file; a negative one is far above this limit when read unsigned.
    shape.push(await cursor.count(`length ${dimension} of ${what}`, Number.MAX_SAFE_INTEGER));
  }
  const typeId = await cursor.uint32(`the type of ${what}`);
  const type = tensorTypeName(typeId);
  if (type === undefined) throw invalidModel(cursor.path, `${what} has the unknown type ${typeId}`);
  const dataOffset = await cursor.uint64(`the offset of ${what}`);
  return { name, type, typeId, shape, bytes: bytesOf(cursor.path, what, type, shape), dataOffset };
}

function bytesOf(path: string, what: string, type: TensorTypeName, shape: readonly number[]): number {
  try {
    return tensorBytes(type, shape);
  } catch (error) {
    throw invalidModel(path, `${what}: ${MullError.wrap(error).message}`);
  }
}
