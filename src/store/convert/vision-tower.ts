import { join } from "node:path";
import { openCheckpoint } from "./checkpoint.ts";
import { findVisionTower } from "./find-vision-tower.ts";
import { type JsonFile, readJsonFile, textOf } from "./json-file.ts";
import type { LlavaFormat } from "./llava-config.ts";
import type { StoredTensor } from "./safetensors.ts";
import { visionTensorsOf } from "./tensor-names.ts";
import { DEFAULT_TOWER, type VisionConfig, knownVisionConfig, readVisionConfig } from "./vision-config.ts";

/** A model's tensors with those of its vision tower, and what describes the tower. */
export interface VisionTower {
  tensors: ReadonlyMap<string, StoredTensor>;
  config: VisionConfig;
  /** Where the configuration of the pictures may be, best first. */
  folders: readonly string[];
}

/**
 * Completes a LLaVA model by its vision tower. Folders of transformers hold and describe it; those of LLaVA's
 * repository hold it if it was trained (1.6), and describe it by name only.
 *
 * @param tensors by common name
 * @throws MullError `model_not_found` for a tower that is nowhere; `invalid_model`
 */
export async function addVisionTower(
  folder: string,
  config: JsonFile,
  format: LlavaFormat,
  tensors: ReadonlyMap<string, StoredTensor>,
  { visionTower: given }: { visionTower?: string },
): Promise<VisionTower> {
  if (format === "transformers") {
    const known = config.values["vision_config"] === undefined ? knownVisionConfig(DEFAULT_TOWER) : undefined;
    return { tensors, config: known ?? readVisionConfig(config), folders: [folder] };
  }
  const name = textOf(config, "mm_vision_tower") ?? DEFAULT_TOWER;
  const holds = [...tensors.keys()].some((tensor) => tensor.startsWith("vision."));
  const known = given === undefined ? knownVisionConfig(name) : undefined;
  if (holds && known !== undefined) return { tensors, config: known, folders: [folder] };
  const found = await findVisionTower(folder, name, given);
  const described = (await readJsonFile(join(found, "config.json"))) as JsonFile;
  const own = holds ? undefined : visionTensorsOf(await openCheckpoint(found));
  return {
    tensors: new Map([...tensors, ...(own ?? [])]),
    config: readVisionConfig(described),
    folders: [folder, found],
  };
}
