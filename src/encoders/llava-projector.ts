import type { Gguf } from "../gguf/gguf.ts";
import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import type { Weights } from "../native/weights.ts";
import { MullError } from "../spec/errors.ts";
import type { WeightList } from "./weight-list.ts";

/** The layers between the vision transformer and the text model. */
export interface LlavaProjectorConfig {
  /** `linear` is LLaVA 1.0's single layer; `mlp` is two linear layers with a GELU between them. */
  type: "linear" | "mlp";
  /** Names of the linear layers, in order. */
  layers: readonly string[];
  /** Which GELU. */
  gelu: "erf" | "tanh";
  /** Width of a row that comes out. */
  embeddingLength: number;
}

/**
 * Reads which projector a file holds (LLaVA: llava/model/multimodal_projector/builder.py).
 *
 * LLaVA was trained with PyTorch's GELU, which is the exact one; models trained with the tanh approximation say so
 * by the key `mull.projector_gelu` = "tanh".
 *
 * @param type projector type as the header names it
 * @throws MullError `invalid_model`
 */
export function readLlavaProjectorConfig(gguf: Gguf, type: "linear" | "mlp"): LlavaProjectorConfig {
  if (gguf.tensors.has("mm.3.weight")) {
    throw new MullError("invalid_model", `${gguf.path} has a projector with layer norms (LLaVA on Yi).`, {
      hint: "mull runs LLaVA projectors of one linear layer, or of two with a GELU between them.",
    });
  }
  // Files of LLaVA 1.0 were written before the header could tell one layer from two.
  const layers = type === "mlp" && gguf.tensors.has("mm.2.weight") ? ["mm.0", "mm.2"] : ["mm.0"];
  const last = gguf.requireTensor(`${layers.at(-1)}.weight`);
  const gelu = gguf.string("mull.projector_gelu") ?? "erf";
  if (gelu !== "erf" && gelu !== "tanh") {
    throw new MullError("invalid_model", `${gguf.path}: mull.projector_gelu is "${gelu}", not erf or tanh.`);
  }
  return { type: layers.length === 1 ? "linear" : "mlp", layers, gelu, embeddingLength: last.shape[1] ?? 1 };
}

/**
 * @param x [vision width, rows, 1, batch]
 * @returns [embeddingLength, rows, 1, batch]
 */
export function buildLlavaProjector(
  graph: Graph,
  weights: Weights,
  config: LlavaProjectorConfig,
  x: Tensor,
): Tensor {
  for (const [index, name] of config.layers.entries()) {
    if (index > 0) x = config.gelu === "erf" ? graph.geluErf(x) : graph.gelu(x);
    x = graph.linear(x, weights.get(`${name}.weight`), weights.find(`${name}.bias`));
  }
  return x;
}

/** Lists the tensors that `buildLlavaProjector` computes with. */
export function listLlavaProjectorWeights(
  list: WeightList,
  gguf: Gguf,
  config: LlavaProjectorConfig,
  visionWidth: number,
): void {
  let inputs = visionWidth;
  for (const name of config.layers) {
    const outputs = gguf.requireTensor(`${name}.weight`).shape[1] ?? 1;
    list.linear(name, inputs, outputs);
    inputs = outputs;
  }
}
