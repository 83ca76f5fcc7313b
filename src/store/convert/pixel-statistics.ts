import { join } from "node:path";
import { invalidModel, quote } from "../../gguf/invalid-model.ts";
import { type JsonFile, objectOf, readJsonFile, shown } from "./json-file.ts";

/** With what pixels are normalised, per channel, of values from 0 to 1. */
export interface PixelStatistics {
  mean: readonly number[];
  deviation: readonly number[];
}

/** CLIP's own. */
const CLIP_STATISTICS: PixelStatistics = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  deviation: [0.26862954, 0.26130258, 0.27577711],
};

/**
 * From the first folder that has an image processor's configuration, else CLIP's.
 * @throws MullError `invalid_model`
 */
export async function readPixelStatistics(folders: readonly string[]): Promise<PixelStatistics> {
  for (const folder of folders) {
    const own = await readJsonFile(join(folder, "preprocessor_config.json"));
    const whole = own === undefined ? await readJsonFile(join(folder, "processor_config.json")) : undefined;
    const processor = own ?? (whole && objectOf(whole, "image_processor"));
    if (processor === undefined || processor.values["image_mean"] === undefined) continue;
    return { mean: triple(processor, "image_mean"), deviation: triple(processor, "image_std") };
  }
  return CLIP_STATISTICS;
}

function triple({ path, values }: JsonFile, key: string): readonly number[] {
  const value = values[key];
  const least = key === "image_std" ? 1e-6 : -Infinity;
  const valid = (item: unknown): boolean => Number.isFinite(item) && (item as number) >= least;
  if (Array.isArray(value) && value.length === 3 && value.every(valid)) return value as number[];
  throw invalidModel(path, `${quote(key)} is ${shown(value)} instead of one number per colour`);
}
