import { MullError } from "../../spec/errors.ts";
import type { ModelInfo, StreamRequest } from "../../spec/model.ts";
import type { WireThink } from "./request-fields.ts";

/**
 * Whether a model shall think: one that can does so unless it is told not to, as with Ollama.
 *
 * @param name what the request called the model
 * @throws MullError `invalid_argument` when a model is told to that cannot
 */
export function checkThink(
  think: WireThink | null | undefined,
  info: ModelInfo,
  name: string,
): Pick<StreamRequest, "think"> {
  if (info.capabilities.includes("thinking")) return { think: think ?? true };
  if (think == null || think === false) return {};
  throw new MullError("invalid_argument", `${JSON.stringify(name)} does not support thinking`, {
    details: { param: "think" },
  });
}
