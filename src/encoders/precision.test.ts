import { mkdtemp, readFile, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { writeRandomProjector } from "../../bench/random-projector.ts";
import { readGguf } from "../gguf/read.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import { openImageEncoder } from "./open-image-encoder.ts";

let folder: string;
let file: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-precision-"));
  file = path.join(folder, "large.gguf");
  vi.stubEnv("XDG_CACHE_HOME", path.join(folder, "cache"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
  // Large enough that choosing pays, small enough for a test: 11 million weights.
  await writeRandomProjector(file, { embedding: 512, feedForward: 2048, heads: 8, blocks: 4, type: "f16" });
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await backend.close();
  await rm(folder, { recursive: true });
});

async function choose(): Promise<string> {
  const encoder = await openImageEncoder(await readGguf(file), backend);
  await encoder.close();
  return encoder.precision;
}

async function decisions(): Promise<string[]> {
  const directory = path.join(folder, "cache", "mull", "encoder-precision");
  return Promise.all((await readdir(directory)).map(async (name) => path.join(directory, name)));
}

test("chooses once, remembers the choice, and chooses again when the file changes", async () => {
  const chosen = await choose();
  expect(["f32", "f16", "bf16", "q8_0"]).toContain(chosen);
  const [decision = "", ...others] = await decisions();
  expect(others).toEqual([]);
  expect(await readFile(decision, "utf8")).toBe(`${chosen}\n`);

  // What is remembered is obeyed, so nothing was measured again.
  const other = chosen === "f16" ? "bf16" : "f16";
  await writeFile(decision, other);
  expect(await choose()).toBe(other);

  // A damaged memory is no memory.
  await writeFile(decision, "f64");
  expect(["f32", "f16", "bf16", "q8_0"]).toContain(await choose());

  await utimes(file, new Date(), new Date(1_000_000));
  await choose();
  expect(await decisions()).toHaveLength(2);
});

test("works without a cache that can be written", async () => {
  vi.stubEnv("XDG_CACHE_HOME", file);
  expect(["f32", "f16", "bf16", "q8_0"]).toContain(await choose());
});
