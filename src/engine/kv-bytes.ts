import type { Gguf } from "../gguf/gguf.ts";

/** Most answers at a time that "auto" chooses. */
const MOST_PARALLEL = 8;
/** Share of the free memory that KV caches may take. */
const MEMORY_SHARE = 0.25;
/** Keys and values are kept in f16. */
const BYTES_PER_NUMBER = 2;

/** Bytes that one position takes in the KV cache of a model, over all layers. */
export function kvBytesPerPosition(file: Gguf): number {
  const architecture = file.requireString("general.architecture");
  // Some architectures give one number for all blocks, others one per block.
  const number = (name: string): number | undefined => {
    const key = `${architecture}.${name}`;
    if (file.metadata.get(key)?.type !== "array") return file.number(key);
    return Math.max(0, ...(file.numbers(key) ?? []));
  };
  const heads = number("attention.head_count") ?? 1;
  const keyValueHeads = number("attention.head_count_kv") ?? heads;
  const headLength = (number("embedding_length") ?? 0) / heads;
  const keyLength = number("attention.key_length") ?? headLength;
  const valueLength = number("attention.value_length") ?? headLength;
  return (number("block_count") ?? 0) * keyValueHeads * (keyLength + valueLength) * BYTES_PER_NUMBER;
}

/** How many contexts of this length a quarter of the free memory holds: 1 to 8. */
export function parallelByMemory(file: Gguf, contextLength: number, freeBytes: number): number {
  const perContext = Math.max(1, kvBytesPerPosition(file) * contextLength);
  return Math.min(MOST_PARALLEL, Math.max(1, Math.floor((MEMORY_SHARE * freeBytes) / perContext)));
}
