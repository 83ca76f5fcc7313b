import { type ItemTypeName, METADATA_TYPE_IDS, type MetadataValue, newItems } from "./metadata.ts";
import { MullError } from "../spec/errors.ts";
import { align } from "./parse-header.ts";
import { TENSOR_TYPES, type TensorTypeName, tensorBytes } from "./tensor-types.ts";

export interface TensorShape {
  name: string;
  type: TensorTypeName;
  /** Lengths in ggml order: `shape[0]` is the row length, the fastest to vary. */
  shape: readonly number[];
}

/** Everything in front of the data section of a GGUF version 3 file, padded to the alignment. */
export function encodeHeader(
  metadata: ReadonlyMap<string, MetadataValue>,
  tensors: readonly TensorShape[],
  alignment: number,
): Uint8Array {
  const out = new ByteList();
  out.bytes(Buffer.from("GGUF"));
  out.uint32(3);
  out.uint64(tensors.length);
  out.uint64(metadata.size);
  for (const [key, value] of metadata) {
    out.string(key);
    encodeValue(out, value);
  }
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    out.string(name);
    out.uint32(shape.length);
    for (const length of shape) out.uint64(length);
    out.uint32(TENSOR_TYPES[type].id);
    out.uint64(offset);
    offset = align(offset + tensorBytes(type, shape), alignment);
  }
  return out.join(alignment);
}

function encodeValue(out: ByteList, entry: MetadataValue): void {
  out.uint32(METADATA_TYPE_IDS[entry.type]);
  if (entry.type !== "array") {
    encodeItem(out, entry.type, entry.value);
    return;
  }
  out.uint32(METADATA_TYPE_IDS[entry.items]);
  out.uint64(entry.value.length);
  if (entry.items === "string") {
    for (const text of entry.value) out.string(text);
  } else {
    const { buffer, byteOffset, byteLength } = entry.value;
    out.bytes(new Uint8Array(buffer, byteOffset, byteLength));
  }
}

function encodeItem(out: ByteList, type: ItemTypeName, value: string | number | bigint | boolean): void {
  if (type === "string") {
    out.string(String(value));
    return;
  }
  const item = newItems(type, 1);
  const wide = item instanceof BigUint64Array || item instanceof BigInt64Array;
  if (wide) item[0] = BigInt(value);
  else item[0] = Number(value);
  // An integer that wrapped or was cut off: the writer must not change a value silently.
  const exact = type === "float32" || type === "float64" || item[0] === (wide ? value : Number(value));
  if (!exact) throw new MullError("invalid_argument", `${value} is not a value of type ${type}`);
  out.bytes(new Uint8Array(item.buffer));
}

class ByteList {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }

  uint32(value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    this.bytes(bytes);
  }

  uint64(value: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    this.bytes(bytes);
  }

  string(text: string): void {
    const bytes = Buffer.from(text, "utf8");
    this.uint64(bytes.length);
    this.bytes(bytes);
  }

  join(alignment: number): Uint8Array {
    return Buffer.concat(this.#parts, align(this.#length, alignment));
  }
}
