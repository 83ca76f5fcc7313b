import type { Gguf } from "../gguf/gguf.ts";
import { invalidModel } from "../gguf/invalid-model.ts";
import { readGguf } from "../gguf/read.ts";
import { validateAdapter } from "../gguf/validate-adapter.ts";
import { validateTextModel } from "../gguf/validate-text-model.ts";
import type { Digest } from "./digest.ts";
import { countWeights, ggufQuantization } from "./facts/describe-gguf.ts";
import { humanNumber } from "./facts/human-number.ts";
import type { LayerKind } from "./manifest.ts";

export type GgufKind = Extract<LayerKind, "model" | "projector" | "adapter">;

/** A GGUF, whole, and what its header says it is for. */
export interface GgufLayer {
  kind: GgufKind;
  gguf: Gguf;
}

/** What Ollama writes into the config blob of a model. */
export interface ModelConfig {
  model_format: "gguf";
  /** Architecture of the text model. */
  model_family: string;
  /** The same, and "clip" for a model that sees. */
  model_families: readonly string[];
  /** Weights of the text model: "7.2B". */
  model_type: string;
  /** "Q4_K_M" */
  file_type: string;
  architecture: "amd64";
  os: "linux";
  rootfs: { type: "layers"; diff_ids: readonly Digest[] };
}

/**
 * Reads the header of a GGUF and tells what it is. A text model is checked as if it were to be loaded.
 *
 * @param paths one file, any part of a split one under its own name, or all parts in order under any names
 * @throws MullError `model_not_found`, `invalid_model`, `aborted`
 */
export async function readGgufLayer(
  paths: string | readonly string[],
  options: { signal?: AbortSignal | undefined } = {},
): Promise<GgufLayer> {
  const gguf = await readGguf(paths, options.signal === undefined ? {} : { signal: options.signal });
  const kind = kindOfGguf(gguf);
  if (kind === "model") validateTextModel(gguf);
  return { kind, gguf };
}

/** By the header; a file that is neither projector nor adapter is taken for a text model. */
export function kindOfGguf(gguf: Gguf): GgufKind {
  const type = gguf.string("general.type");
  if (type === "adapter") return "adapter";
  const encodes =
    type === "mmproj" ||
    gguf.string("general.architecture") === "clip" ||
    gguf.boolean("clip.has_vision_encoder") === true ||
    gguf.boolean("clip.has_audio_encoder") === true;
  return encodes ? "projector" : "model";
}

/**
 * @param layers of one model
 * @param digests of all blobs but the config itself, in the order of the manifest
 * @throws MullError `invalid_model` unless exactly one of them is a text model, at most one a projector, and adapters
 *   are for that text model
 */
export function modelConfig(layers: readonly GgufLayer[], digests: readonly Digest[]): ModelConfig {
  const [text, second] = layers.filter(({ kind }) => kind === "model");
  const [projector, other] = layers.filter(({ kind }) => kind === "projector");
  if (text === undefined) {
    const [file] = layers;
    const problem = `this is ${file?.kind === "adapter" ? "an adapter" : "a projector"}, not a text model`;
    throw invalidModel(file?.gguf.path ?? "", problem, "Give the text model that it belongs to, too.");
  }
  const surplus = second ?? other;
  if (surplus !== undefined) {
    const problem = `this is a second ${surplus.kind === "model" ? "text model" : "projector"}`;
    throw invalidModel(surplus.gguf.path, problem, "A model has one text model and at most one projector.");
  }
  for (const { kind, gguf } of layers) if (kind === "adapter") validateAdapter(gguf, text.gguf);
  const family = text.gguf.requireString("general.architecture");
  return {
    model_format: "gguf",
    model_family: family,
    model_families: projector === undefined ? [family] : [family, "clip"],
    model_type: humanNumber(countWeights(text.gguf)),
    file_type: ggufQuantization(text.gguf),
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: digests },
  };
}
