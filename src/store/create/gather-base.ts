import { isAbsolute } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { modelfileMessages } from "../modelfile/modelfile.ts";
import { parametersOf } from "../modelfile/parameters.ts";
import { readSavedModel, type SavedModel } from "../saved-model.ts";
import type { Base } from "./base.ts";
import { baseOfFiles } from "./base-of-files.ts";
import { baseOfModel } from "./base-of-model.ts";
import type { Creation } from "./creation.ts";
import type { Recipe } from "./recipe.ts";

/** All that a recipe begins with, in the store. */
export async function gatherBase(from: Recipe["from"], creation: Creation): Promise<Base> {
  if ("model" in from) return baseOfModel(from.model, creation);
  return { ggufs: await baseOfFiles(from.files, creation), texts: [] };
}

/** A recipe that begins with a saved conversation comes after the one that makes what was talked with. */
export async function withSaved(recipe: Recipe, env: NodeJS.ProcessEnv): Promise<readonly Recipe[]> {
  if (!("model" in recipe.from)) return [recipe];
  const { model } = recipe.from;
  const saved = await readSavedModel(model, env);
  return saved === undefined ? [recipe] : [recipeOfSaved(saved, model), recipe];
}

function recipeOfSaved({ load, generation, messages, system }: SavedModel, name: string): Recipe {
  const { model = "pico", projector, template } = load;
  const withPicture = messages.some(
    ({ content }) => typeof content !== "string" && content.some(({ type }) => type !== "text"),
  );
  if (withPicture) {
    throw new MullError("invalid_argument", `There are pictures in the conversation "${name}".`, {
      hint: "MESSAGE holds text only. Begin with the model that was talked with.",
    });
  }
  return {
    from: isAbsolute(model) ? { files: [{ path: model }] } : { model },
    adapters: [],
    parameters: parametersOf(generation, load),
    messages: modelfileMessages(messages),
    licenses: [],
    ...(projector === undefined ? {} : { projector: { path: projector } }),
    ...(template === undefined ? {} : { template }),
    ...(system === undefined ? {} : { system }),
  };
}
