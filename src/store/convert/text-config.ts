import { invalidModel } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { type JsonFile, flagOf, objectOf, positiveOf, shown, sizeOf, textOf } from "./json-file.ts";
import { type RopeScaling, readRopeScaling } from "./rope-scaling.ts";

/** What a config.json says about a text model. */
export interface TextConfig {
  /** llama.cpp's name of the kind. */
  architecture: "llama" | "qwen2";
  blocks: number;
  /** Width of a row. */
  embedding: number;
  feedForward: number;
  heads: number;
  keyValueHeads: number;
  /** Width of a head. */
  headLength: number;
  contextLength: number;
  normEpsilon: number;
  ropeBase: number;
  ropeScaling: RopeScaling;
  /** Positions that a token looks back on, where the model says so. */
  slidingWindow: number | undefined;
  /** Whether the output matrix is the token embedding. Undefined: the file does not say. */
  tied: boolean | undefined;
}

interface Kind {
  architecture: TextConfig["architecture"];
  /** Values that transformers takes for absent keys; published LLaVA configs name only what differs. */
  defaults: Readonly<Record<string, number>>;
}

const COMMON_DEFAULTS = {
  hidden_size: 4096,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
};

const KINDS: Readonly<Record<string, Kind>> = {
  llama: {
    architecture: "llama",
    defaults: { ...COMMON_DEFAULTS, intermediate_size: 11_008, max_position_embeddings: 2048 },
  },
  mistral: {
    architecture: "llama",
    defaults: {
      ...COMMON_DEFAULTS,
      intermediate_size: 14_336,
      num_key_value_heads: 8,
      max_position_embeddings: 131_072,
    },
  },
  qwen2: {
    architecture: "qwen2",
    defaults: {
      ...COMMON_DEFAULTS,
      intermediate_size: 22_016,
      num_key_value_heads: 32,
      max_position_embeddings: 32_768,
    },
  },
};

/** LLaVA's repository has text and vision keys in one object, and names the text model by its class. */
const CLASSES: readonly (readonly [RegExp, string])[] = [
  [/^(Llava)?(Llama|LLaMA)ForCausalLM$/, "llama"],
  [/^(Llava)?MistralForCausalLM$/, "mistral"],
  [/^(LlavaQwen2?|Qwen2)ForCausalLM$/, "qwen2"],
];

/**
 * @param config the whole config.json
 * @throws MullError `invalid_model` for a kind of model that mull does not convert, or an impossible value
 */
export function readTextConfig(config: JsonFile): TextConfig {
  refuseQuantised(config);
  const text = objectOf(config, "text_config") ?? config;
  const { architecture, defaults } = findKind(config, text);
  const size = (key: string): number => sizeOf(text, key) ?? (defaults[key] as number);
  const heads = size("num_attention_heads");
  const embedding = size("hidden_size");
  const keyValueHeads = sizeOf(text, "num_key_value_heads") ?? defaults["num_key_value_heads"] ?? heads;
  if (heads % keyValueHeads !== 0) {
    throw invalidModel(config.path, `${keyValueHeads} key-value heads do not divide ${heads} heads`);
  }
  const headLength = sizeOf(text, "head_dim") ?? embedding / heads;
  if (!Number.isInteger(headLength / 2)) {
    throw invalidModel(config.path, `heads of ${headLength} cannot be rotated in pairs`);
  }
  const activation = textOf(text, "hidden_act") ?? "silu";
  if (activation !== "silu")
    throw invalidModel(config.path, `"hidden_act" is ${shown(activation)}, not silu`);
  const ropes = objectOf(text, "rope_parameters");
  return {
    architecture,
    blocks: size("num_hidden_layers"),
    embedding,
    feedForward: size("intermediate_size"),
    heads,
    keyValueHeads,
    headLength,
    contextLength: size("max_position_embeddings"),
    normEpsilon: positiveOf(text, "rms_norm_eps") ?? (defaults["rms_norm_eps"] as number),
    ropeBase:
      (ropes && positiveOf(ropes, "rope_theta")) ??
      positiveOf(text, "rope_theta") ??
      (defaults["rope_theta"] as number),
    ropeScaling: readRopeScaling(text),
    slidingWindow: slidingWindowOf(text, architecture),
    tied: flagOf(text, "tie_word_embeddings") ?? flagOf(config, "tie_word_embeddings"),
  };
}

function findKind(config: JsonFile, text: JsonFile): Kind {
  const classes = config.values["architectures"];
  const className = Array.isArray(classes) ? String(classes[0]) : undefined;
  const byClass = CLASSES.find(([pattern]) => className !== undefined && pattern.test(className))?.[1];
  // A config with a text_config of its own says the kind there; its default is Llama.
  const type = textOf(text, "model_type");
  const ownType = type === "llava" ? "llama" : type?.replace(/^llava_(llama|mistral|qwen2?)$/, "$1");
  const name = text === config ? (byClass ?? ownType?.replace(/^qwen$/, "qwen2")) : (type ?? "llama");
  const kind = name !== undefined && Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (kind !== undefined) return kind;
  throw new MullError(
    "invalid_model",
    `${config.path} describes a model of class ${shown(className)} with a text model of type ${shown(name)}.`,
    { hint: "mull converts text models Llama, Mistral and Qwen2, alone or in LLaVA 1.0 to 1.6." },
  );
}

function refuseQuantised(config: JsonFile): void {
  const quantised = objectOf(config, "quantization_config");
  if (quantised === undefined) return;
  throw new MullError(
    "invalid_model",
    `The weights beside ${config.path} are quantised already (${shown(quantised.values["quant_method"])}).`,
    { hint: "Convert the original model, and quantise the result." },
  );
}

function slidingWindowOf(text: JsonFile, architecture: TextConfig["architecture"]): number | undefined {
  const used = flagOf(text, "use_sliding_window") ?? architecture === "llama";
  return used ? sizeOf(text, "sliding_window") : undefined;
}
