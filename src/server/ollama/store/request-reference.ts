import { MullError } from "../../../spec/errors.ts";
import type { ModelName } from "../../../store/model-name.ts";
import { type ModelReference, nameOf, parseReference } from "../../../store/reference.ts";

/** What a request may name: nothing on this server's disk. */
export type RequestReference = Extract<ModelReference, { name: ModelName }>;

const HINT = "Names look like model, model:tag, owner/model:tag or host/owner/model:tag.";

/**
 * The model that a request names.
 *
 * @throws MullError `invalid_argument` for a path, a digest, and what is no name at all
 */
export function requestReference(text: string): RequestReference {
  const reference = parse(text);
  if (nameOf(reference) !== undefined) return reference as RequestReference;
  const problem =
    reference.kind === "path"
      ? "A server takes names of models, no paths."
      : "A digest does not say which model.";
  throw new MullError("invalid_argument", problem, { hint: HINT });
}

function parse(text: string): ModelReference {
  try {
    return parseReference(text);
  } catch (error) {
    const { code, message } = MullError.wrap(error);
    throw new MullError(code, message, { hint: HINT, cause: error });
  }
}
