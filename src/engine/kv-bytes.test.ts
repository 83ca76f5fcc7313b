import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Gguf } from "../gguf/gguf.ts";
import type { MetadataValue } from "../gguf/metadata.ts";
import { readGguf } from "../gguf/read.ts";
import { kvBytesPerPosition, parallelByMemory } from "./kv-bytes.ts";

const pico = fileURLToPath(new URL("../../models/pico/pico.gguf", import.meta.url));

describe("memory of the KV cache", () => {
  it("is two f16 numbers per layer, head and channel", async () => {
    // 5 blocks, 6 heads of width 32, keys and values.
    expect(kvBytesPerPosition(await readGguf(pico))).toBe(5 * 6 * (32 + 32) * 2);
  });

  it("counts the heads of every block where they differ", async () => {
    const file = await readGguf(pico);
    const heads: MetadataValue = { type: "array", items: "uint32", value: Uint32Array.of(6, 0, 3, 6, 1) };
    const { path, paths, version, alignment, fileBytes, tensors } = file;
    const metadata = new Map([...file.metadata, ["llama.attention.head_count_kv", heads]]);
    const mixed = new Gguf({ path, paths, version, alignment, fileBytes, tensors, metadata });
    expect(kvBytesPerPosition(mixed)).toBe(16 * (32 + 32) * 2);
  });

  it("decides how many answers are written at a time: at least one, at most eight", async () => {
    const file = await readGguf(pico);
    const perContext = 1024 * kvBytesPerPosition(file);
    expect(parallelByMemory(file, 1024, 0)).toBe(1);
    expect(parallelByMemory(file, 1024, 4 * 3.5 * perContext)).toBe(3);
    expect(parallelByMemory(file, 1024, 1e12)).toBe(8);
  });
});
