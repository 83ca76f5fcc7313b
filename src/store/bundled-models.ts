import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LoadOptions } from "../spec/options.ts";
import { DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG, type ModelName } from "./model-name.ts";

/** The models that ship in the package, by name: folder `models/<name>/`. */
export const BUNDLED_MODELS: readonly string[] = ["pico"];

/** The files of a bundled model; undefined for any other name. */
export function bundledModel({ host, namespace, model, tag }: ModelName): LoadOptions | undefined {
  const key = model.toLowerCase();
  const isOurs =
    [host, namespace, tag].join("/") === [DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG].join("/");
  if (!isOurs || !BUNDLED_MODELS.includes(key)) return undefined;
  const folder = fileURLToPath(new URL(`../../models/${key}/`, import.meta.url));
  return { model: join(folder, `${key}.gguf`), projector: join(folder, `${key}-mmproj.gguf`) };
}
