import { nearNames } from "../../spec/near-names.ts";
import { listSavedModels } from "../../store/saved-model.ts";
import { MullError } from "../../spec/errors.ts";
import type { ModelChoice } from "./model-reference.ts";

/** Adds to "no such model" what only the command knows: saved models of like names, and how to ask pico instead. */
export async function explainUnknownModel(
  error: unknown,
  choice: ModelChoice,
  env: NodeJS.ProcessEnv,
): Promise<MullError> {
  const wrapped = MullError.wrap(error);
  if (wrapped.code !== "model_not_found") return wrapped;
  const hints = wrapped.hint === undefined ? [] : [wrapped.hint];
  const near = nearNames(choice.name, await listSavedModels(env));
  if (near.length > 0) hints.push(`Saved models of a like name: ${near.join(", ")}.`);
  if (choice.words.length === 0) hints.push(`If it was meant as a question: mull run pico "${choice.name}"`);
  return new MullError(wrapped.code, wrapped.message, {
    details: wrapped.details,
    cause: wrapped,
    ...(hints.length === 0 ? {} : { hint: hints.join("\n") }),
  });
}
