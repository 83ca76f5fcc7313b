import type { Backend } from "./backend.ts";
import { Graph } from "./graph.ts";
import { type WeightType, allocateWeights } from "./weights.ts";

const RUNS = 3;

/**
 * Times a matrix product, because which weight type is the fastest depends on the instructions of the processor.
 *
 * @param size of the weight, and how many rows it is multiplied with
 * @returns milliseconds, the best of three runs
 */
export async function measureMatmul(
  backend: Backend,
  type: WeightType,
  size: { inputs: number; outputs: number; rows: number },
): Promise<number> {
  const { inputs, outputs, rows } = size;
  const weights = allocateWeights(backend, [{ name: "weight", shape: [inputs, outputs], type }]);
  const graph = new Graph(backend, { maxTensors: 8 });
  try {
    const weight = weights.get("weight");
    // Left as they are, the bytes could be subnormal numbers, with which some processors are slow.
    const zeros = new Uint8Array(backend.ggml.nbytes(weight.pointer));
    backend.api.tensorSet(weight.pointer, zeros, 0, zeros.length);
    const input = graph.input(inputs, rows);
    const output = graph.matmul(weight, input);
    graph.finish(output);
    const values = new Float32Array(inputs * rows).fill(1);
    let best = Infinity;
    for (let run = 0; run < RUNS; run++) {
      const start = performance.now();
      await graph.run(input, values, output);
      best = Math.min(best, performance.now() - start);
    }
    return best;
  } finally {
    await graph.close();
    await weights.close();
  }
}
