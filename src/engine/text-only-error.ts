import { MullError } from "../spec/errors.ts";

/** What a model without an encoder answers to a picture: the host asks first, the engine process makes sure. */
export function textOnlyError(modelName: string): MullError {
  return new MullError("unsupported_modality", `${modelName} reads text only; it cannot see a picture.`, {
    hint: "Give its projector file with --projector, or use a model that sees, such as pico.",
  });
}
