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
  const blocks = file.number(`${architecture}.block_count`) ?? 0;
  // Some architectures give one number for all blocks, others one per block; blocks without attention have 0.
  const perBlock = (name: string): readonly number[] | undefined => {
    const key = `${architecture}.${name}`;
    if (file.metadata.get(key)?.type === "array") return Array.from(file.requireNumbers(key));
    const value = file.number(key);
    return value === undefined ? undefined : Array.from({ length: blocks }, () => value);
  };
  const heads = perBlock("attention.head_count") ?? [1];
  const keyValueHeads = perBlock("attention.head_count_kv") ?? heads;
  const headLength = (file.number(`${architecture}.embedding_length`) ?? 0) / Math.max(1, ...heads);
  const keyLength = file.number(`${architecture}.attention.key_length`) ?? headLength;
  const valueLength = file.number(`${architecture}.attention.value_length`) ?? headLength;
  const allHeads = keyValueHeads.reduce((sum, count) => sum + count, 0);
  return allHeads * (keyLength + valueLength) * BYTES_PER_NUMBER;
}

/** How many contexts of this length a quarter of the free memory holds: 1 to 8. */
export function parallelByMemory(file: Gguf, contextLength: number, freeBytes: number): number {
  const perContext = Math.max(1, kvBytesPerPosition(file) * contextLength);
  return Math.min(MOST_PARALLEL, Math.max(1, Math.floor((MEMORY_SHARE * freeBytes) / perContext)));
}
