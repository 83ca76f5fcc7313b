import { MullError } from "../spec/errors.ts";

declare const brand: unique symbol;

/**
 * The full name of a model in a store: where it comes from, whose it is, what it is called and which variant. Every
 * part is safe as the name of a file; only `parseModelName` and `modelName` make one.
 */
export interface ModelName {
  /** `registry.ollama.ai`, `hf.co`, `localhost:5000`. */
  readonly host: string;
  /** `library` for models without an owner. */
  readonly namespace: string;
  readonly model: string;
  /** `latest` unless another is named. */
  readonly tag: string;
  readonly [brand]: "model name";
}

export type ModelNameParts = Omit<ModelName, typeof brand>;

export const DEFAULT_HOST = "registry.ollama.ai";
export const DEFAULT_NAMESPACE = "library";
export const DEFAULT_TAG = "latest";

/**
 * Ollama's limits: the first character is a letter, a digit or `_`; `:` only in a host, no `.` in a namespace. Lengths
 * stand apart: repetitions with a limit make expressions that are slow to compile, and a list has thousands of names.
 */
const PARTS: Readonly<Record<keyof ModelNameParts, readonly [pattern: RegExp, longest: number]>> = {
  host: [/^\w[\w.:-]*$/, 350],
  namespace: [/^\w[\w-]*$/, 80],
  model: [/^\w[\w.-]*$/, 80],
  tag: [/^\w[\w.-]*$/, 80],
};

const PART_NAMES = Object.keys(PARTS) as (keyof ModelNameParts)[];

/** `[host/][namespace/]model[:tag]`. Undefined for what cannot be a name. Letters keep their case. */
export function parseModelName(text: string): ModelName | undefined {
  const slash = text.lastIndexOf("/");
  const [model = "", tag = DEFAULT_TAG, ...more] = text.slice(slash + 1).split(":");
  const owners = slash < 0 ? [] : text.slice(0, slash).split("/");
  if (more.length > 0 || owners.length > 2) return undefined;
  const [namespace = DEFAULT_NAMESPACE, host = DEFAULT_HOST] = owners.toReversed();
  const parts = { host, namespace, model, tag };
  return isModelName(parts) ? parts : undefined;
}

/** @throws MullError `invalid_argument` for parts that cannot be a name */
export function modelName(parts: ModelNameParts): ModelName {
  if (isModelName(parts)) return parts;
  const text = [parts.host, parts.namespace, `${parts.model}:${parts.tag}`].join("/");
  throw new MullError("invalid_argument", `'${text}' cannot be the name of a model.`, {
    hint: "Names look like model, model:tag or owner/model:tag, of letters, digits, '_', '.' and '-'.",
  });
}

function isModelName(parts: ModelNameParts): parts is ModelName {
  return PART_NAMES.every((part) => {
    const text = parts[part];
    const [pattern, longest] = PARTS[part];
    // Windows drops a dot at the end; ".." is harmless inside a name, and looks as if it were not.
    return text.length <= longest && pattern.test(text) && !text.includes("..") && !text.endsWith(".");
  });
}

/** As short as it can be said: `llava:13b`, `user/llava:latest`, `hf.co/org/repo:Q4_K_M`. */
export function formatModelName({ host, namespace, model, tag }: ModelName): string {
  const end = `${model}:${tag}`;
  if (host.toLowerCase() !== DEFAULT_HOST) return `${host}/${namespace}/${end}`;
  return namespace.toLowerCase() === DEFAULT_NAMESPACE ? end : `${namespace}/${end}`;
}

/** The same for names that differ in nothing but case: those are the same name. */
export function nameKey({ host, namespace, model, tag }: ModelName): string {
  return `${host}/${namespace}/${model}:${tag}`.toLowerCase();
}
