import { MullError } from "../../spec/errors.ts";
import type { CatalogEntry, ModelPool } from "../model-pool.ts";

/** Longest name that an error repeats. */
const SHOWN_NAME = 200;

/** @throws MullError `invalid_argument` when there is none */
export function requireName(...names: (string | null | undefined)[]): string {
  const name = names.find((candidate) => candidate != null && candidate !== "");
  if (name != null) return name;
  throw new MullError("invalid_argument", "model is required", { details: { param: "model" } });
}

/**
 * The model of that name, or an error in Ollama's words: clients look for "not found" to offer a download.
 *
 * @throws MullError `model_not_found`, `invalid_model`
 */
export async function findModel(
  models: ModelPool,
  name: string,
  notFound: (name: string) => string = (missing) => `model "${missing}" not found, try pulling it first`,
): Promise<CatalogEntry> {
  try {
    return await models.find(name);
  } catch (error) {
    if (!MullError.is(error) || error.code !== "model_not_found") throw error;
    throw new MullError("model_not_found", notFound(name.slice(0, SHOWN_NAME)), { cause: error });
  }
}
