import { MullError } from "../spec/errors.ts";
import { bundledModel } from "./bundled-models.ts";
import { formatModelName, type ModelName, nameKey, parseModelName } from "./model-name.ts";
import { nameOf, parseReference } from "./reference.ts";
import { listSavedModels } from "./saved-model.ts";

/** @throws MullError `invalid_argument` for a path, a digest, and what is no name at all */
export function requireModelName(text: string): ModelName {
  const name = nameOf(parseReference(text));
  if (name !== undefined) return name;
  throw new MullError("invalid_argument", `'${text}' is not the name of a model.`, {
    hint: "Names look like model, model:tag or owner/model:tag.",
  });
}

/**
 * A name for a model to be. One that stands for something outside the store would hide the new model.
 *
 * @throws MullError `invalid_argument`, also for a name that is taken
 */
export async function requireNewName(text: string, env: NodeJS.ProcessEnv): Promise<ModelName> {
  const name = requireModelName(text);
  if (bundledModel(name) !== undefined) {
    throw new MullError("invalid_argument", `${formatModelName(name)} is the model that comes with mull.`, {
      hint: "Choose another name.",
    });
  }
  const isSame = (other: string): boolean => {
    const parsed = parseModelName(other);
    return parsed !== undefined && nameKey(parsed) === nameKey(name);
  };
  const saved = (await listSavedModels(env)).find(isSame);
  if (saved === undefined) return name;
  throw new MullError("invalid_argument", `A saved conversation is called '${saved}'.`, {
    hint: `Choose another name, or remove the conversation: mull rm ${saved}`,
  });
}
