import { MullError } from "../../spec/errors.ts";
import type { Model } from "../../spec/model.ts";
import type { LoadOptions } from "../../spec/options.ts";
import type { CliContext, LoadModel } from "../cli-context.ts";

/**
 * Loads a model, and downloads it first when it is nowhere on this machine: `mull run llava` is all that one has to
 * type. A name that a typing error made of one that is here is refused, not looked for on the net.
 *
 * @throws MullError of loading, or of the download
 */
export async function loadOrPull(load: LoadModel, options: LoadOptions, context: CliContext): Promise<Model> {
  try {
    return await load(options);
  } catch (error) {
    if (options.model === undefined || context.env["MULL_OFFLINE"] === "1" || !isNowhere(error)) throw error;
    const { pullWithView } = await import("../commands/pull.ts");
    await pullWithView(options.model, { insecure: false }, context);
    return load(options);
  }
}

function isNowhere(error: unknown): boolean {
  if (!MullError.is(error) || error.code !== "model_not_found") return false;
  const { near, canBePulled } = error.details;
  return canBePulled === true && Array.isArray(near) && near.length === 0;
}
