/** How to choose tokens and when to end. Every number is checked; an unknown option is an error. */
export interface GenerationOptions {
  /** 0 is greedy: the same bytes always give the same text. Default 0. */
  temperature?: number;
  /** Keep only the k most likely tokens; 0 keeps all. Default 40. */
  topK?: number;
  /** Keep the smallest set of tokens whose probabilities add up to p. 0 < p <= 1. Default 0.95. */
  topP?: number;
  /** Drop tokens less likely than p times the most likely one. 0 <= p < 1. Default 0.05. */
  minP?: number;
  /** Divide (or multiply) the logits of tokens seen in the last `repeatLastN`; 1 is off. Default 1. */
  repeatPenalty?: number;
  /** Subtract this times the number of occurrences. -2..2, 0 is off. Default 0. */
  frequencyPenalty?: number;
  /** Subtract this once if the token occurred. -2..2, 0 is off. Default 0. */
  presencePenalty?: number;
  /** How far back the penalties look, in tokens of text; -1 is the whole context. Default 64. */
  repeatLastN?: number;
  /** Seed of the random choice, 0..2^32-1. Default: a random one. Greedy decoding ignores it. */
  seed?: number;
  /** The answer ends before any of these strings. At most 16, none empty. */
  stop?: readonly string[];
  /** Most tokens to generate; -1 is until the context is full. Default -1. */
  maxTokens?: number;
}

export type EncoderPrecision = "auto" | "f32" | "f16" | "bf16" | "q8_0";

/** Another program whose deviations from a model's own code are to be reproduced. */
export type Compatibility = "llama.cpp";

/** How to load a model: its files and the shape of its context. */
export interface LoadOptions {
  /** A name (`pico`) or a path to a GGUF file. */
  model?: string;
  /** Path to the GGUF with encoder and projector (mmproj). Not needed for a named model or a text-only one. */
  projector?: string;
  /**
   * All files of a split model, in order, where their names do not say that they belong together; `model` is then
   * the first of them. Default: the files beside `model` that its name tells of.
   */
  splitFiles?: readonly string[];
  /** Paths of LoRA adapters (GGUF, `general.type` = "adapter"), applied at full scale. Default: none. */
  adapters?: readonly string[];
  /** Context length in tokens. Default: the model's own, at most 4096. */
  contextLength?: number;
  /**
   * Requests to work on at the same time; each may fill the whole context. Default 1; "auto": as many as memory
   * allows, at most 8.
   */
  parallel?: number | "auto";
  /** Keep encoded pictures and KV snapshots of pictures on disk. Default true; MULL_CACHE=off turns it off. */
  diskCache?: boolean;
  /** Threads of the engine. Default: one per physical core, or a single one for a model below 64 MB. */
  threads?: number;
  /**
   * Type that the encoder's weights are re-quantised to at load.
   * `auto` is the fastest that keeps a cosine of at least 0.998 to f32 in every output row.
   */
  encoderPrecision?: EncoderPrecision;
  /**
   * `llama.cpp`: see pictures as llama.cpp's mtmd does where it deviates from the model's own code (LLaVA: place of the
   * class token, blocks, padding, tiles without their newlines), to compare outputs. Default: the model's own code.
   */
  compat?: Compatibility;
  /**
   * A built-in template by name (`vicuna_v1`…), Jinja source, or a Go template as Ollama's Modelfiles have them.
   * Default: the GGUF's, else `vicuna_v1`.
   */
  template?: string;
  /** What to use when `template` is not given and the GGUF has none. Same forms. */
  fallbackTemplate?: string;
  /** `cpu` ignores GPUs; `auto` uses one if its package is installed. Default: MULL_DEVICE, else `auto`. */
  device?: "cpu" | "auto";
  signal?: AbortSignal;
  /** Called while weights are read. */
  onProgress?: (completedBytes: number, totalBytes: number) => void;
}
