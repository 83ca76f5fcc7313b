import type { Gguf } from "./gguf.ts";
import { invalidModel, quote } from "./invalid-model.ts";
import type { TensorInfo } from "./layout.ts";
import type { TensorTypeName } from "./tensor-types.ts";

const PART = /\.lora_([ab])$/;
const NORM = /_norm\.weight$/;
const TOKENS = "token_embd.weight";

/** Types that ggml multiplies with; it aborts on others. */
const MATRIX_TYPES: readonly TensorTypeName[] = [
  "f32",
  "f16",
  "bf16",
  "q4_0",
  "q4_1",
  "q5_0",
  "q5_1",
  "q8_0",
  "q2_K",
  "q3_K",
  "q4_K",
  "q5_K",
  "q6_K",
  "iq4_nl",
  "iq4_xs",
];

/**
 * Checks that a GGUF is a LoRA adapter for a text model: two small matrices for each matrix that it changes, in
 * shapes that can be multiplied. llama.cpp answers some of what is wrong with an abort, and leaves changes of norms out.
 *
 * @throws MullError `invalid_model` that names the key or tensor
 */
export function validateAdapter(adapter: Gguf, base: Gguf): void {
  checkKeys(adapter, base);
  const names = new Set<string>();
  for (const name of adapter.tensors.keys()) names.add(baseName(adapter, name));
  if (names.size === 0) throw invalidModel(adapter.path, "the adapter changes nothing: it has no tensors");
  for (const name of names) checkPair(adapter, base, name);
}

function checkKeys(adapter: Gguf, base: Gguf): void {
  if (adapter.paths.length > 1) {
    throw invalidModel(adapter.path, "the adapter is split into parts", "Merge it into one file first.");
  }
  const type = adapter.string("general.type");
  if (type !== "adapter") {
    throw invalidModel(
      adapter.path,
      type === undefined ? "this is not an adapter" : `this is not an adapter but of type ${quote(type)}`,
      "Give a LoRA adapter that was converted to GGUF.",
    );
  }
  const kind = adapter.requireString("adapter.type");
  if (kind !== "lora") {
    throw invalidModel(adapter.path, `adapters of type ${quote(kind)} are not supported`, "Use LoRA.");
  }
  const architecture = adapter.requireString("general.architecture");
  const expected = base.requireString("general.architecture");
  if (architecture !== expected) {
    throw invalidModel(
      adapter.path,
      `the adapter is for ${quote(architecture)}, but the model is ${quote(expected)}`,
      "Use it with the model it was trained on.",
    );
  }
  const alpha = adapter.metadata.get("adapter.lora.alpha");
  if (alpha !== undefined && (alpha.type !== "float32" || !Number.isFinite(alpha.value))) {
    throw invalidModel(adapter.path, `"adapter.lora.alpha" is not a finite float32`);
  }
  if (adapter.metadata.has("adapter.alora.invocation_tokens")) {
    throw invalidModel(
      adapter.path,
      "this adapter is switched on by words in the prompt (aLoRA), which is not supported",
      "Use a LoRA that is always on.",
    );
  }
}

/** The tensor of the model that one of the adapter is about. */
function baseName(adapter: Gguf, name: string): string {
  const base = name.replace(PART, "");
  if (NORM.test(base)) {
    throw invalidModel(
      adapter.path,
      `the adapter changes a norm (${quote(name)}), which the engine would leave out`,
      "Merge it into the model's weights, then convert those.",
    );
  }
  if (base === name)
    throw invalidModel(adapter.path, `tensor ${quote(name)} ends in neither .lora_a nor .lora_b`);
  return base;
}

function checkPair(adapter: Gguf, base: Gguf, name: string): void {
  const a = adapter.requireTensor(`${name}.lora_a`);
  const b = adapter.requireTensor(`${name}.lora_b`);
  const weight = base.tensors.get(name);
  if (weight === undefined) {
    throw invalidModel(
      adapter.path,
      `the adapter changes ${quote(name)}, which the model does not have`,
      "Use it with the model it was trained on.",
    );
  }
  for (const { name: part, type } of [a, b]) {
    if (!MATRIX_TYPES.includes(type))
      throw invalidModel(adapter.path, `tensor ${quote(part)} is of type ${type}`);
  }
  // The shapes of an embedding are the other way round: its rows are looked up, not multiplied.
  const fits = name === TOKENS ? fitsEmbedding(weight, a, b) : fitsMatrix(weight, a, b);
  if (!fits) {
    const shape = ({ shape: lengths }: TensorInfo): string => `[${lengths.join(", ")}]`;
    throw invalidModel(
      adapter.path,
      `the matrices ${shape(a)} and ${shape(b)} for ${quote(name)} do not fit its shape ${shape(weight)}`,
      "Use it with the model it was trained on.",
    );
  }
  // With one matrix for both ends, llama.cpp would multiply by the looked-up shapes.
  if (name === TOKENS && !base.tensors.has("output.weight")) {
    throw invalidModel(
      adapter.path,
      "the adapter changes the embeddings of a model that uses them as output matrix, too",
      "Merge it into the model's weights, then convert those.",
    );
  }
}

function fitsMatrix(weight: TensorInfo, a: TensorInfo, b: TensorInfo): boolean {
  const [inputs, outputs, ...experts] = padded(weight);
  const [aInputs, rank, ...aExperts] = padded(a);
  const [bRank, bOutputs, ...bExperts] = padded(b);
  const alike = (these: number[]): boolean => these.every((length, index) => length === experts[index]);
  const isMatrix = weight.shape.length >= 2;
  return (
    isMatrix &&
    aInputs === inputs &&
    bOutputs === outputs &&
    rank === bRank &&
    alike(aExperts) &&
    alike(bExperts)
  );
}

function fitsEmbedding(weight: TensorInfo, a: TensorInfo, b: TensorInfo): boolean {
  const [width, tokens] = padded(weight);
  const [rank, aTokens, ...aRest] = padded(a);
  const [bRank, bWidth, ...bRest] = padded(b);
  const flat = [...aRest, ...bRest].every((length) => length === 1);
  return flat && aTokens === tokens && bWidth === width && rank === bRank;
}

/** Four lengths, as ggml has them. */
function padded({ shape }: TensorInfo): number[] {
  return [...shape, 1, 1, 1].slice(0, 4);
}
