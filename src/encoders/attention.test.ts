import { afterAll, beforeAll, expect, test } from "vitest";
import { Backend } from "../native/backend.ts";
import { Graph } from "../native/graph.ts";
import { loadLibraries } from "../native/libraries.ts";
import { attend } from "./attention.ts";

let backend: Backend;

beforeAll(() => {
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});
afterAll(async () => backend.close());

async function attendTo(
  values: Float32Array,
  columns: number,
  heads: number,
  fused: boolean,
): Promise<Float32Array> {
  const graph = new Graph(backend, { maxTensors: 32 });
  const x = graph.input(columns, values.length / columns);
  const y = attend(graph, x, graph.scale(x, 0.5), graph.scale(x, -1), heads, { fused });
  graph.finish(y);
  const result = await graph.run(x, values, y);
  await graph.close();
  return result;
}

// Row counts around the tiles of the fused kernel; head widths that are no multiple of a vector.
test.each([
  [1, 32, 4],
  [17, 24, 4],
  [64, 64, 2],
  [145, 192, 6],
  [577, 128, 2],
])(
  "%i rows of %i columns and %i heads: fused and step by step agree in float32",
  async (rows, columns, heads) => {
    const values = Float32Array.from(
      { length: rows * columns },
      (_, index) => 3 * Math.sin(index * 0.37 + (index % 7)),
    );
    const fused = await attendTo(values, columns, heads, true);
    const stepByStep = await attendTo(values, columns, heads, false);
    let largest = 0;
    for (const [index, value] of fused.entries()) {
      largest = Math.max(largest, Math.abs(value - (stepByStep[index] ?? Infinity)));
    }
    // Values up to 3: rounding keys or values to half precision would show as 1e-3.
    expect(largest).toBeLessThan(2e-5);
    expect(Math.max(...fused)).toBeGreaterThan(0.1);
  },
);
