import { BUILTIN_TEMPLATES } from "../../chat/builtin-templates.ts";
import type { Gguf } from "../../gguf/gguf.ts";
import type { Capability } from "../../spec/model.ts";
import { fileTypeName } from "./file-types.ts";
import { templateFeatures } from "../../chat/template-features.ts";

/** Names of built-in templates, or sources: one in place of the file's own, one for a file without any. */
export interface Templates {
  template?: string | undefined;
  fallbackTemplate?: string | undefined;
}

/** What the header of a text model says of the model. */
export interface GgufDescription {
  /** `general.architecture`, such as "llama". */
  architecture: string;
  /** The architecture, and "clip" if the model sees. */
  families: readonly string[];
  /** Weights of the text model. */
  parameters: number;
  /** Such as "Q4_K_M". */
  quantization: string;
  /** Context length that the model was trained for. */
  contextLength: number;
  embeddingLength: number;
  capabilities: readonly Capability[];
  /** What one token takes in the KV cache, in bytes. */
  cacheBytesPerToken: number;
  /** Jinja, or Go, source. */
  template: string;
  license: string | undefined;
}

/**
 * @param text header of a valid text model
 * @param sees whether a projector goes with it
 */
export function describeGguf(text: Gguf, sees: boolean, templates: Templates): GgufDescription {
  const architecture = text.requireString("general.architecture");
  const given = (template: string | undefined): string | undefined =>
    template === undefined ? undefined : (BUILTIN_TEMPLATES[template] ?? template);
  const source =
    given(templates.template) ??
    text.string("tokenizer.chat_template") ??
    given(templates.fallbackTemplate) ??
    BUILTIN_TEMPLATES[sees ? "vicuna_v1" : "plain"] ??
    "";
  return {
    architecture,
    families: sees ? [architecture, "clip"] : [architecture],
    parameters: countWeights(text),
    quantization: ggufQuantization(text),
    contextLength: text.requireNumber(`${architecture}.context_length`),
    embeddingLength: text.requireNumber(`${architecture}.embedding_length`),
    capabilities: capabilitiesOf(text, architecture, sees, source),
    cacheBytesPerToken: cacheBytesPerToken(text, architecture),
    template: source,
    license: text.string("general.license"),
  };
}

export function countWeights(gguf: Gguf): number {
  let weights = 0;
  for (const { shape } of gguf.tensors.values())
    weights += shape.reduce((product, length) => product * length, 1);
  return weights;
}

/** By `general.file_type`, else by the type that takes most of the file: "Q4_K_M". */
export function ggufQuantization(gguf: Gguf): string {
  return fileTypeName(gguf.number("general.file_type")) ?? mostCommonType(gguf);
}

/** A file that says how to pool its rows is an embedding model; every other one completes texts. */
function capabilitiesOf(text: Gguf, architecture: string, sees: boolean, template: string): Capability[] {
  if ((text.number(`${architecture}.pooling_type`) ?? 0) > 0) return ["embedding"];
  const { tools, thinking } = templateFeatures(template);
  return [
    "completion",
    ...(sees ? ["vision" as const] : []),
    ...(tools ? ["tools" as const] : []),
    ...(thinking ? ["thinking" as const] : []),
  ];
}

/** Name of the tensor type that takes most of the file. */
function mostCommonType(gguf: Gguf): string {
  const bytes = new Map<string, number>();
  for (const { type, bytes: size } of gguf.tensors.values()) bytes.set(type, (bytes.get(type) ?? 0) + size);
  const [first] = [...bytes].sort((a, b) => b[1] - a[1]);
  return first?.[0].toUpperCase() ?? "unknown";
}

/** Keys and values of all blocks, in f16. */
function cacheBytesPerToken(gguf: Gguf, architecture: string): number {
  const blocks = gguf.requireNumber(`${architecture}.block_count`);
  const heads = perBlock(gguf, `${architecture}.attention.head_count`, blocks);
  const keyValueHeads = perBlock(gguf, `${architecture}.attention.head_count_kv`, blocks) ?? heads;
  const embedding = gguf.requireNumber(`${architecture}.embedding_length`);
  const headLength = embedding / Math.max(1, ...(heads ?? []));
  const keyLength = gguf.number(`${architecture}.attention.key_length`) ?? headLength;
  const valueLength = gguf.number(`${architecture}.attention.value_length`) ?? headLength;
  const allHeads = keyValueHeads?.reduce((sum, count) => sum + count, 0) ?? blocks;
  return Math.ceil(allHeads * (keyLength + valueLength) * 2);
}

/** Some architectures give one number for all blocks, others an array of one for each. */
function perBlock(gguf: Gguf, key: string, blocks: number): readonly number[] | undefined {
  if (gguf.metadata.get(key)?.type === "array") return Array.from(gguf.requireNumbers(key));
  const value = gguf.number(key);
  return value === undefined ? undefined : Array.from({ length: blocks }, () => value);
}
