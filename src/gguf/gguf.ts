import { open } from "node:fs/promises";
import { invalidModel, quote } from "./invalid-model.ts";
import type { TensorInfo } from "./layout.ts";
import type { MetadataArray, MetadataValue, NumberTypeName, NumericArray } from "./metadata.ts";
import { MullError } from "../spec/errors.ts";

export interface GgufContent {
  path: string;
  paths: readonly string[];
  version: number;
  alignment: number;
  fileBytes: number;
  metadata: ReadonlyMap<string, MetadataValue>;
  tensors: ReadonlyMap<string, TensorInfo>;
}

export interface ReadTensorOptions {
  /** Where the bytes go; its length must be that of what is read. Default: a new array. */
  into?: Uint8Array;
  /** First byte to read, counted from the start of the tensor. Default 0. */
  start?: number;
  /** Number of bytes to read. Default: up to the end of the tensor. */
  length?: number;
  signal?: AbortSignal;
}

/**
 * A checked GGUF model: its metadata, where its tensors lie, and their bytes on demand.
 * It holds no open file and needs no `close`.
 */
export class Gguf implements GgufContent {
  /** The file; of a split model the first part. Native code is given this one. */
  readonly path: string;
  /** All files in order. */
  readonly paths: readonly string[];
  readonly version: number;
  /** Tensors start at multiples of this, in bytes. */
  readonly alignment: number;
  /** Size of all files, in bytes. */
  readonly fileBytes: number;
  /** In file order. */
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** By name, in file order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;

  constructor(content: GgufContent) {
    this.path = content.path;
    this.paths = content.paths;
    this.version = content.version;
    this.alignment = content.alignment;
    this.fileBytes = content.fileBytes;
    this.metadata = content.metadata;
    this.tensors = content.tensors;
  }

  // Each getter gives undefined for an absent key, and throws `invalid_model` for one of another type.

  string(key: string): string | undefined {
    const entry = this.metadata.get(key);
    if (entry === undefined || entry.type === "string") return entry?.value;
    throw this.#wrongType(key, entry, "a string");
  }

  /** Any integer or float type; 64-bit integers if a number can hold them exactly. */
  number(key: string): number | undefined {
    const entry = this.metadata.get(key);
    if (entry === undefined) return undefined;
    if (typeof entry.value === "number") return entry.value;
    if (typeof entry.value !== "bigint") throw this.#wrongType(key, entry, "a number");
    const value = Number(entry.value);
    if (!Number.isSafeInteger(value))
      throw invalidModel(this.path, `${quote(key)} is ${entry.value}: out of range`);
    return value;
  }

  boolean(key: string): boolean | undefined {
    const entry = this.metadata.get(key);
    if (entry === undefined || entry.type === "bool") return entry?.value;
    throw this.#wrongType(key, entry, "a bool");
  }

  /** Any array of numbers that is not 64-bit integers. */
  numbers(key: string): NumericArray | undefined {
    const entry = this.metadata.get(key);
    if (entry === undefined) return undefined;
    if (entry.type === "array" && isNumeric(entry)) return entry.value;
    throw this.#wrongType(key, entry, "an array of numbers");
  }

  strings(key: string): readonly string[] | undefined {
    const entry = this.metadata.get(key);
    if (entry === undefined) return undefined;
    if (entry.type === "array" && entry.items === "string") return entry.value;
    throw this.#wrongType(key, entry, "an array of strings");
  }

  // The same for keys without which the model cannot be used.

  requireString(key: string): string {
    return this.string(key) ?? this.#missing(key);
  }

  requireNumber(key: string): number {
    return this.number(key) ?? this.#missing(key);
  }

  requireBoolean(key: string): boolean {
    return this.boolean(key) ?? this.#missing(key);
  }

  requireNumbers(key: string): NumericArray {
    return this.numbers(key) ?? this.#missing(key);
  }

  requireStrings(key: string): readonly string[] {
    return this.strings(key) ?? this.#missing(key);
  }

  /** The tensor of that name. */
  requireTensor(name: string): TensorInfo {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw invalidModel(this.path, `tensor ${quote(name)} is missing`);
    return tensor;
  }

  /**
   * Reads the raw bytes of a tensor, or a part of them, in the layout of its type.
   *
   * @throws MullError `invalid_argument` for a range outside the tensor; `invalid_model` if the file shrank;
   *   `aborted`
   */
  async readTensor(info: TensorInfo, options: ReadTensorOptions = {}): Promise<Uint8Array> {
    const { start = 0, signal } = options;
    const length = options.length ?? options.into?.length ?? info.bytes - start;
    const whole = Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0;
    if (!whole || start + length > info.bytes) {
      throw new MullError(
        "invalid_argument",
        `bytes ${start} to ${start + length} are not in tensor ${info.name}`,
      );
    }
    const into = options.into ?? new Uint8Array(length);
    if (into.length !== length) {
      throw new MullError(
        "invalid_argument",
        `tensor ${info.name}: ${length} bytes do not go into ${into.length}`,
      );
    }
    const handle = await open(info.path, "r").catch((cause: unknown) => {
      throw new MullError("model_not_found", `${info.path} cannot be opened any more`, { cause });
    });
    try {
      for (let done = 0; done < length;) {
        if (signal?.aborted) throw new MullError("aborted", "Reading the model was cancelled.");
        // At most 64 MB at a time, so that an abort does not wait for gigabytes.
        const part = Math.min(length - done, 2 ** 26);
        const { bytesRead } = await handle.read(into, done, part, info.offset + start + done);
        if (bytesRead === 0) throw invalidModel(info.path, `the file ends inside tensor ${quote(info.name)}`);
        done += bytesRead;
      }
    } finally {
      await handle.close();
    }
    return into;
  }

  #missing(key: string): never {
    throw invalidModel(this.path, `metadata key ${quote(key)} is missing`);
  }

  #wrongType(key: string, entry: MetadataValue, wanted: string): MullError {
    const actual = entry.type === "array" ? `an array of ${entry.items}` : entry.type;
    return invalidModel(this.path, `metadata key ${quote(key)} is ${actual} instead of ${wanted}`);
  }
}

function isNumeric(entry: MetadataArray): entry is Extract<MetadataArray, { items: NumberTypeName }> {
  return !["string", "bool", "uint64", "int64"].includes(entry.items);
}
