import { invalidModel } from "../../gguf/invalid-model.ts";
import { string } from "../../gguf/metadata.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { type ModelCard, generalKeys } from "./general-keys.ts";
import type { Inventory } from "./inventory.ts";
import type { JsonFile } from "./json-file.ts";
import { type LlavaFormat, readLlavaConfig } from "./llava-config.ts";
import { readPixelStatistics } from "./pixel-statistics.ts";
import type { FilePlan } from "./planned-tensor.ts";
import { projectorKeys } from "./projector-metadata.ts";
import { planProjectorTensors } from "./projector-tensors.ts";
import type { VisionTower } from "./vision-tower.ts";

const MOST_LAYERS = 16;

/**
 * Plans the file of vision tower and projector.
 * @param textEmbedding width of the text model's rows
 */
export async function planProjector(
  folder: string,
  config: JsonFile,
  format: LlavaFormat,
  textEmbedding: number,
  tower: VisionTower,
  inventory: Inventory,
  card: ModelCard,
  options: ConvertOptions,
): Promise<FilePlan> {
  const vision = tower.config;
  if (vision.imageSize < vision.patchSize) {
    throw invalidModel(folder, `pictures of ${vision.imageSize} pixels have no patch of ${vision.patchSize}`);
  }
  const layers = Array.from({ length: MOST_LAYERS }, (_, index) => index).filter((index) =>
    inventory.has(`projector.${index}.weight`),
  );
  const llava = readLlavaConfig(config, format, vision, layers);
  const type = options.projectorType ?? (options.type === "q8_0" ? "keep" : (options.type ?? "keep"));
  const tensors = planProjectorTensors(inventory, vision, llava, textEmbedding, type);
  const statistics = await readPixelStatistics(tower.folders);
  const metadata = new Map([
    ...generalKeys("clip", "mmproj", card, tensors),
    ["general.description", string("image encoder for LLaVA")] as const,
    ...projectorKeys(vision, llava, statistics, textEmbedding),
  ]);
  return { kind: "mmproj", metadata, tensors };
}
