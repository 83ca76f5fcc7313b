import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ProjectorShape, TINY_PROJECTOR, writeRandomProjector } from "../../bench/random-projector.ts";
import { readGguf } from "../gguf/read.ts";
import { Backend } from "../native/backend.ts";
import { Graph } from "../native/graph.ts";
import { loadLibraries } from "../native/libraries.ts";
import { type Weights, loadWeights } from "../native/weights.ts";
import { type ClipConfig, readClipConfig } from "./clip-config.ts";
import { buildClipVit, listClipVitWeights } from "./clip-vit.ts";
import { type LlavaProjector, readPlainProjector } from "./llava-projector.ts";
import { WeightList } from "./weight-list.ts";

let folder: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-clip-vit-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});
afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

interface Encoder {
  config: ClipConfig;
  projector: LlavaProjector;
  weights: Weights;
}

async function load(shape: Partial<ProjectorShape>, precision: "f32" | "q8_0"): Promise<Encoder> {
  const file = path.join(folder, "projector.gguf");
  await writeRandomProjector(file, { ...TINY_PROJECTOR, ...shape });
  const gguf = await readGguf(file);
  const config = readClipConfig(gguf);
  const projector = readPlainProjector("mlp", {
    gguf,
    visionWidth: config.embeddingLength,
    patchesPerSide: Math.sqrt(config.patches),
    layerNormEpsilon: config.layerNormEpsilon,
    gelu: "erf",
  });
  const list = new WeightList(gguf, precision);
  listClipVitWeights(list, config);
  projector.list(list);
  return { config, projector, weights: await loadWeights(backend, gguf, list.requests) };
}

/** @returns (tiles, patches, text width) */
async function encode({ config, projector, weights }: Encoder, pixels: Float32Array, tiles: number) {
  const graph = new Graph(backend, { maxTensors: 512 });
  const image = graph.input(config.imageSize, config.imageSize, 3, tiles);
  const features = buildClipVit(graph, weights, config, image);
  expect(features.shape).toEqual([config.embeddingLength, config.patches, 1, tiles]);
  const output = projector.build(graph, weights, features);
  expect(output.shape).toEqual([projector.embeddingLength, config.patches, 1, tiles]);
  graph.finish(output);
  const rows = await graph.run(image, pixels, output);
  await graph.close();
  return rows;
}

test.each([
  ["with a class token", { classToken: true, postNorm: true }, "f32"],
  ["without a class token", { classToken: false, preNorm: false }, "f32"],
  ["with packed weights", { classToken: true }, "q8_0"],
  ["with odd sizes", { imageSize: 35, patchSize: 7, embedding: 36, feedForward: 50, heads: 3 }, "f32"],
] as const)("tiles in one run give what each gives alone: %s", async (_, shape, precision) => {
  const encoder = await load(shape, precision);
  const tiles = 5;
  const length = encoder.config.imageSize ** 2 * 3;
  const pixels = Float32Array.from({ length: tiles * length }, (__, index) => 2 * Math.sin(index ** 1.3));
  const together = await encode(encoder, pixels, tiles);
  const rowsPerTile = together.length / tiles;
  for (let tile = 0; tile < tiles; tile++) {
    const alone = await encode(encoder, pixels.slice(tile * length, (tile + 1) * length), 1);
    const part = together.subarray(tile * rowsPerTile, (tile + 1) * rowsPerTile);
    const largest = Math.max(...alone.map(Math.abs));
    const difference = Math.max(...alone.map((value, index) => Math.abs(value - (part[index] ?? NaN))));
    expect(difference / largest).toBeLessThan(1e-6);
    expect(alone.some((value, index) => value !== together[index])).toBe(tile > 0);
  }
  await encoder.weights.close();
});
