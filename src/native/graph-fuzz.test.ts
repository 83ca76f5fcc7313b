import { afterAll, beforeAll, expect, test } from "vitest";
import { GraphFuzzer } from "../../test/support/graph-fuzzer.ts";
import { Backend } from "./backend.ts";
import { Graph } from "./graph.ts";
import { loadLibraries } from "./libraries.ts";
import { type WeightRequest, type Weights, allocateWeights } from "./weights.ts";

// An operation that lets a wrong shape through ends this file's process, which fails the run.

const WEIGHTS: WeightRequest[] = [
  { name: "packed", shape: [32, 6], type: "q8_0" },
  { name: "packed with depth", shape: [64, 3, 2], type: "q8_0" },
  { name: "half", shape: [4, 6], type: "f16" },
  { name: "kernel", shape: [2, 2, 3, 4], type: "bf16" },
  { name: "vector", shape: [4], type: "f32" },
];

let backend: Backend;
let weights: Weights;

beforeAll(() => {
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
  weights = allocateWeights(backend, WEIGHTS);
});
afterAll(async () => {
  await weights.close();
  await backend.close();
});

test("no operands that Graph takes end the process", async () => {
  const tensors = WEIGHTS.map(({ name }) => weights.get(name));
  let [accepted, refused, ran] = [0, 0, 0];
  for (let seed = 0; seed < 300; seed++) {
    const graph = new Graph(backend, { maxTensors: 200 });
    const fuzzer = new GraphFuzzer(seed, graph, tensors);
    fuzzer.build(60);
    if (await fuzzer.run()) ran++;
    await graph.close();
    accepted += fuzzer.accepted;
    refused += fuzzer.refused;
  }
  // It has to try both what fits and what does not.
  expect(accepted).toBeGreaterThan(3000);
  expect(refused).toBeGreaterThan(3000);
  expect(ran).toBeGreaterThan(150);
});
