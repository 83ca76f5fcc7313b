import { MullError } from "../spec/errors.ts";
import type { ModelName } from "./model-name.ts";
import { nameOf, parseReference } from "./reference.ts";

/** @throws MullError `invalid_argument` for a path, a digest, and what is no name at all */
export function requireModelName(text: string): ModelName {
  const name = nameOf(parseReference(text));
  if (name !== undefined) return name;
  throw new MullError("invalid_argument", `'${text}' is not the name of a model.`, {
    hint: "Names look like model, model:tag or owner/model:tag.",
  });
}
