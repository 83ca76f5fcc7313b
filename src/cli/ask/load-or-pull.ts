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
    const { model } = options;
    if (model === undefined || context.env["MULL_OFFLINE"] === "1" || !canBePulled(error)) throw error;
    await pullMissing(model, context);
    return load(options);
  }
}

async function pullMissing(model: string, context: CliContext): Promise<void> {
  const { pullWithView } = await import("../commands/pull.ts");
  try {
    await pullWithView(model, { insecure: false }, context);
  } catch (cause) {
    const { code, message, hint, details } = MullError.wrap(cause);
    if (code === "aborted") throw cause;
    throw new MullError(code, `"${model}" is not on this machine, and could not be downloaded: ${message}`, {
      ...(hint === undefined ? {} : { hint }),
      details,
      cause,
    });
  }
}

function canBePulled(error: unknown): boolean {
  return MullError.is(error) && error.code === "model_not_found" && error.details["canBePulled"] === true;
}
