import { readSavedModel, type SavedModel } from "../../store/saved-model.ts";
import { type ModelReference, parseReference } from "../../store/reference.ts";
import type { LoadOptions } from "../../spec/options.ts";

/** What `mull run` was asked to run, and the words that are left for the prompt. */
export interface ModelChoice {
  /** What to call it. */
  name: string;
  load: LoadOptions;
  saved?: SavedModel;
  words: readonly string[];
}

export const DEFAULT_MODEL = "pico";

const PICTURE = /\.(png|jpe?g|webp|gif|avif|tiff?|svg)$/i;

export function isPicturePath(word: string): boolean {
  return PICTURE.test(word);
}

/** Whether a reference to a model is a name, and not the path of a file. */
export function isModelName(reference: string): boolean {
  const kind = kindOfReference(reference);
  return kind !== undefined && kind !== "path";
}

function kindOfReference(word: string): ModelReference["kind"] | undefined {
  try {
    return parseReference(word).kind;
  } catch {
    return undefined;
  }
}

/**
 * Decides whether the first word is the model or the beginning of the prompt, by its form alone, so that the same
 * command means the same in every directory:
 *
 * - with `--model-file`, no word is a model;
 * - a word that ends in `.gguf` is a model file;
 * - a word that is written like a model's name (`name`, `space/name:tag`, `hf.co/org/repo`…) and has no picture's
 *   ending is a model. If there is none of that name, loading fails: a typing error never becomes a question;
 * - everything else (a sentence, a picture's path) begins the prompt, and the model is pico.
 */
export function splitModelFromPrompt(words: readonly string[], modelFile: string | undefined): ModelChoice {
  if (modelFile !== undefined) return { name: modelFile, load: { model: modelFile }, words };
  const [first] = words;
  const isModel =
    first !== undefined && (/\.gguf$/i.test(first) || (isModelName(first) && !isPicturePath(first)));
  const name = isModel ? first : DEFAULT_MODEL;
  return { name, load: { model: name }, words: isModel ? words.slice(1) : words };
}

/** Like `splitModelFromPrompt`, and looks the name up among the saved models. */
export async function chooseModel(
  words: readonly string[],
  modelFile: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<ModelChoice> {
  const choice = splitModelFromPrompt(words, modelFile);
  if (modelFile !== undefined || choice.name === DEFAULT_MODEL) return choice;
  const saved = await readSavedModel(choice.name, env);
  return saved === undefined ? choice : { ...choice, load: saved.load, saved };
}
