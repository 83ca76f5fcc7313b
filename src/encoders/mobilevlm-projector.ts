import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import type { Weights } from "../native/weights.ts";
import { MullError } from "../spec/errors.ts";
import type { LlavaProjector, ProjectorInput } from "./llava-projector.ts";
import type { WeightList } from "./weight-list.ts";

const KERNEL = 3;
/** Of both projectors: a quarter of the rows is left. */
const SHRINK = 2;

/**
 * MobileVLM's "lightweight downsample projector": two linear layers, then two inverted residuals as in MobileNetV3, of
 * which the second halves the sides. Chu et al. 2023, "MobileVLM", section 3.3; torchvision's `InvertedResidual`.
 */
export function readLdpProjector(input: ProjectorInput): LlavaProjector {
  requireEvenSide(input);
  const { gguf, layerNormEpsilon } = input;
  const prefix = "mm.model.mb_block";
  const width = gguf.requireTensor("mm.model.mlp.3.weight").shape[1] ?? 1;
  return {
    type: "ldp",
    embeddingLength: width,
    shrink: SHRINK,
    list(list) {
      list.linear("mm.model.mlp.1", input.visionWidth, width);
      list.linear("mm.model.mlp.3", width, width);
      for (const block of [1, 2]) listResidual(list, input, `${prefix}.${block}.block`, width);
    },
    build(graph, weights, x) {
      x = twoLayers(graph, weights, input, ["mm.model.mlp.1", "mm.model.mlp.3"], x);
      const same = invertedResidual(graph, weights, `${prefix}.1.block`, layerNormEpsilon, 1, x);
      // Only a block that keeps the sides can be added to what went into it.
      return invertedResidual(graph, weights, `${prefix}.2.block`, layerNormEpsilon, 2, graph.add(x, same));
    },
  };
}

/**
 * MobileVLM V2's projector: two linear layers, means of 2 x 2 rows, and a convolution that tells the rows their place.
 * Chu et al. 2024, "MobileVLM V2", section 3.3.
 */
export function readLdpV2Projector(input: ProjectorInput): LlavaProjector {
  requireEvenSide(input);
  const width = input.gguf.requireTensor("mm.model.mlp.2.weight").shape[1] ?? 1;
  return {
    type: "ldpv2",
    embeddingLength: width,
    shrink: SHRINK,
    list(list) {
      list.linear("mm.model.mlp.0", input.visionWidth, width);
      list.linear("mm.model.mlp.2", width, width);
      list.vector("mm.model.peg.0.weight", [
        KERNEL,
        KERNEL,
        ...depthOf(input, "mm.model.peg.0.weight"),
        width,
      ]);
      list.vector("mm.model.peg.0.bias", [width]);
    },
    build(graph, weights, x) {
      const rows = twoLayers(graph, weights, input, ["mm.model.mlp.0", "mm.model.mlp.2"], x);
      const halved = graph.pool2d(toPlanes(graph, rows), "average", { window: 2 }); // [side / 2, side / 2, columns, tiles]
      const kernel = planesOf(graph, weights.get("mm.model.peg.0.weight"));
      const near = graph.depthwiseConv2d(halved, kernel, { stride: 1, padding: 1 });
      const placed = graph.add(toRows(graph, near), weights.get("mm.model.peg.0.bias"));
      return graph.add(placed, toRows(graph, halved));
    },
  };
}

function requireEvenSide({ gguf, patchesPerSide }: ProjectorInput): void {
  if (patchesPerSide % SHRINK === 0) return;
  throw new MullError(
    "invalid_model",
    `${gguf.path}: ${patchesPerSide} patches on a side cannot be halved, as its projector does.`,
    { hint: "MobileVLM's projectors take pictures of an even number of patches on a side." },
  );
}

function listResidual(list: WeightList, input: ProjectorInput, block: string, width: number): void {
  const kernel = `${block}.0.0.weight`;
  const inner = input.gguf.requireTensor(`${block}.1.fc1.weight`).shape.at(-1) ?? 1;
  list.vector(kernel, [KERNEL, KERNEL, ...depthOf(input, kernel), width]);
  for (const norm of [`${block}.0.1`, `${block}.2.1`]) {
    list.vector(`${norm}.weight`, [width]);
    list.vector(`${norm}.bias`, [width]);
  }
  list.linear(`${block}.1.fc1`, width, inner);
  list.linear(`${block}.1.fc2`, inner, width);
  list.linear(`${block}.2.0`, width, width);
}

/** Converters drop the dimension of length 1 that PyTorch has in front of the channels, or keep it. */
function depthOf({ gguf }: ProjectorInput, kernel: string): number[] {
  return gguf.requireTensor(kernel).shape.length === 4 ? [1] : [];
}

/** Linear, GELU, linear. */
function twoLayers(
  graph: Graph,
  weights: Weights,
  { gelu }: ProjectorInput,
  [first, second]: readonly [string, string],
  x: Tensor,
): Tensor {
  const hidden = graph.linear(x, weights.get(`${first}.weight`), weights.find(`${first}.bias`));
  const active = gelu === "erf" ? graph.geluErf(hidden) : graph.gelu(hidden);
  return graph.linear(active, weights.get(`${second}.weight`), weights.find(`${second}.bias`));
}

/** Depthwise convolution, squeeze and excitation, pointwise convolution. */
function invertedResidual(
  graph: Graph,
  weights: Weights,
  block: string,
  epsilon: number,
  stride: number,
  x: Tensor, // [columns, rows, 1, tiles]
): Tensor {
  const norm = (name: string, rows: Tensor): Tensor =>
    graph.layerNorm(rows, epsilon, weights.get(`${name}.weight`), weights.get(`${name}.bias`));
  const linear = (name: string, rows: Tensor): Tensor =>
    graph.linear(rows, weights.get(`${name}.weight`), weights.find(`${name}.bias`));
  const kernel = planesOf(graph, weights.get(`${block}.0.0.weight`));
  const convolved = graph.depthwiseConv2d(toPlanes(graph, x), kernel, { stride, padding: 1 });
  const active = graph.hardSwish(norm(`${block}.0.1`, toRows(graph, convolved))); // [columns, rows, 1, tiles]
  const means = meanOfRows(graph, active); // [columns, 1, 1, tiles]
  const scale = graph.hardSigmoid(linear(`${block}.1.fc2`, graph.relu(linear(`${block}.1.fc1`, means))));
  return norm(`${block}.2.1`, linear(`${block}.2.0`, graph.mul(active, scale)));
}

/** [columns, rows, 1, tiles] → [columns, 1, 1, tiles] */
function meanOfRows(graph: Graph, x: Tensor): Tensor {
  const [columns, rows, , tiles] = x.shape;
  const turned = graph.contiguous(graph.permute(x, [1, 0, 2, 3])); // [rows, columns, 1, tiles]
  return graph.reshape(graph.pool1d(turned, "average", rows), columns, 1, 1, tiles);
}

/** Rows of a square: [columns, side², 1, tiles] → [side, side, columns, tiles] */
function toPlanes(graph: Graph, x: Tensor): Tensor {
  const [columns, rows, , tiles] = x.shape;
  const side = Math.sqrt(rows);
  return graph.reshape(graph.contiguous(graph.permute(x, [1, 0, 2, 3])), side, side, columns, tiles);
}

/** [width, height, columns, tiles] → [columns, width * height, 1, tiles] */
function toRows(graph: Graph, x: Tensor): Tensor {
  const [width, height, columns, tiles] = x.shape;
  return graph.contiguous(graph.permute(graph.reshape(x, width * height, columns, 1, tiles), [1, 0, 2, 3]));
}

/** [side, side, 1, columns], of whatever shape the file gave it. */
function planesOf(graph: Graph, kernel: Tensor): Tensor {
  return graph.reshape(kernel, KERNEL, KERNEL, 1, kernel.shape[2] * kernel.shape[3]);
}
