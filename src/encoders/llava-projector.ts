import type { Gguf } from "../gguf/gguf.ts";
import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import type { Weights } from "../native/weights.ts";
import type { WeightList } from "./weight-list.ts";

/** Projector types of LLaVA and its relatives. */
export type LlavaProjectorType = "linear" | "mlp" | "ldp" | "ldpv2";

/** The layers between the vision transformer and the text model. */
export interface LlavaProjector {
  /** `linear` is LLaVA 1.0's single layer; `mlp` is two linear layers with a GELU between them; others MobileVLM's. */
  type: LlavaProjectorType;
  /** Width of a row that comes out. */
  embeddingLength: number;
  /** Rows that go in become one, on each side of the picture. */
  shrink: number;
  /** Lists the tensors that `build` computes with. */
  list(list: WeightList): void;
  /** @param x [vision width, rows, 1, tiles] @returns [embeddingLength, rows / shrink², 1, tiles] */
  build(graph: Graph, weights: Weights, x: Tensor): Tensor;
}

/** What a projector is made for. */
export interface ProjectorInput {
  gguf: Gguf;
  /** Width of a row of the vision transformer. */
  visionWidth: number;
  /** Patches on a side of a tile. */
  patchesPerSide: number;
  /** Of the vision transformer; of the projector's norms, too. */
  layerNormEpsilon: number;
  /** Which GELU stands between linear layers. */
  gelu: "erf" | "tanh";
}

/** Linear layers, and, of LLaVA on Yi, a norm behind each (Yi-VL: mlp2x_gelu_Norm). */
export function readPlainProjector(
  type: "linear" | "mlp",
  { gguf, visionWidth, layerNormEpsilon, gelu }: ProjectorInput,
): LlavaProjector {
  const hasNorms = type === "mlp" && gguf.tensors.has("mm.3.weight");
  // Files of LLaVA 1.0 were written before the header could tell one layer from two.
  const second = hasNorms ? "mm.3" : type === "mlp" && gguf.tensors.has("mm.2.weight") ? "mm.2" : undefined;
  const layers = second === undefined ? ["mm.0"] : ["mm.0", second];
  const norms = hasNorms ? ["mm.1", "mm.4"] : [];
  const widths = layers.map((name) => gguf.requireTensor(`${name}.weight`).shape[1] ?? 1);
  return {
    type: layers.length === 1 ? "linear" : "mlp",
    embeddingLength: widths.at(-1) ?? 1,
    shrink: 1,
    list(list) {
      for (const [index, name] of layers.entries()) {
        const width = widths[index] ?? 1;
        list.linear(name, widths[index - 1] ?? visionWidth, width);
        const norm = norms[index];
        if (norm === undefined) continue;
        list.vector(`${norm}.weight`, [width]);
        list.vector(`${norm}.bias`, [width]);
      }
    },
    build(graph, weights, x) {
      for (const [index, name] of layers.entries()) {
        if (index > 0) x = activate(graph, gelu, x);
        x = graph.linear(x, weights.get(`${name}.weight`), weights.find(`${name}.bias`));
        const norm = norms[index];
        if (norm === undefined) continue;
        x = graph.layerNorm(x, layerNormEpsilon, weights.get(`${norm}.weight`), weights.get(`${norm}.bias`));
      }
      return x;
    },
  };
}

function activate(graph: Graph, gelu: "erf" | "tanh", x: Tensor): Tensor {
  return gelu === "erf" ? graph.geluErf(x) : graph.gelu(x);
}
