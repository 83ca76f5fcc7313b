import { MullError } from "../spec/errors.ts";
import type { Message, Part } from "../spec/message.ts";
import type { GenerationOptions, LoadOptions } from "../spec/options.ts";

/** A model with everything a session added to it: system message, parameters, and what was said. */
export interface SavedModel {
  /** A name, or absolute paths. */
  load: LoadOptions;
  system?: string;
  generation: GenerationOptions;
  /** Pictures are absolute paths: the files stay where they are. */
  messages: readonly Message[];
}

type Json = Record<string, unknown>;
type Check = (value: unknown) => boolean;

const isString: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value);
const isTexts: Check = (value) => Array.isArray(value) && value.every(isString);

const LOAD_FIELDS: Record<string, Check> = {
  model: isString,
  projector: isString,
  contextLength: isNumber,
  threads: isNumber,
  encoderPrecision: isString,
  compat: isString,
  template: isString,
};

const GENERATION_FIELDS: Record<string, Check> = {
  temperature: isNumber,
  topK: isNumber,
  topP: isNumber,
  minP: isNumber,
  repeatPenalty: isNumber,
  frequencyPenalty: isNumber,
  presencePenalty: isNumber,
  repeatLastN: isNumber,
  seed: isNumber,
  stop: isTexts,
  maxTokens: isNumber,
};

/**
 * Text of a saved file to a saved model. The file may have been edited or come from elsewhere, so every field is
 * looked at and an unknown one is an error, as it is everywhere in mull.
 *
 * @throws MullError `invalid_model` that names the file and the field
 */
export function parseSavedModel(text: string, path: string): SavedModel {
  const fail = (problem: string): never => {
    throw new MullError("invalid_model", `'${path}' is not a saved model: ${problem}.`, {
      hint: "Save the session again, or remove the file.",
    });
  };
  const parseJson = (): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      return fail("it is not JSON");
    }
  };
  const root = parseJson();
  if (!isObject(root)) return fail("it is not an object");
  if (root["version"] !== 1) return fail("its version is not 1");
  const { load, generation, messages, system } = root;
  if (!isObject(load) || !isString(load["model"])) return fail("'load.model' is missing");
  if (!isObject(generation)) return fail("'generation' is not an object");
  for (const [object, fields] of [[load, LOAD_FIELDS] as const, [generation, GENERATION_FIELDS] as const]) {
    for (const [key, value] of Object.entries(object)) {
      if (fields[key]?.(value) !== true) return fail(`'${key}' is unknown or has a wrong value`);
    }
  }
  if (system !== undefined && typeof system !== "string") return fail("'system' is not a text");
  if (!Array.isArray(messages) || !messages.every(isMessage)) return fail("'messages' is not a conversation");
  return {
    load,
    generation,
    messages,
    ...(system === undefined ? {} : { system }),
  };
}

function isMessage(value: unknown): value is Message {
  if (!isObject(value) || !["system", "user", "assistant"].includes(value["role"] as string)) return false;
  const content = value["content"];
  return isString(content) || (Array.isArray(content) && content.every(isPart));
}

function isPart(value: unknown): value is Part {
  if (!isObject(value)) return false;
  if (value["type"] === "text") return isString(value["text"]);
  return (
    value["type"] === "image" &&
    isString(value["image"]) &&
    (value["name"] === undefined || isString(value["name"]))
  );
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
