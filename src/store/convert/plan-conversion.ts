import { join } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { openCheckpoint } from "./checkpoint.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { type ModelCard, generalKeys, readModelCard } from "./general-keys.ts";
import { Inventory } from "./inventory.ts";
import { type JsonFile, flagOf, readJsonFile } from "./json-file.ts";
import { llavaFormatOf } from "./llava-config.ts";
import { planProjector } from "./plan-projector.ts";
import type { FilePlan, PlannedTensor } from "./planned-tensor.ts";
import { withCommonNames } from "./tensor-names.ts";
import { type TextConfig, readTextConfig } from "./text-config.ts";
import { textKeys } from "./text-metadata.ts";
import { planTextTensors } from "./text-tensors.ts";
import { readTokenizer } from "./tokenizer/read-tokenizer.ts";
import { addVisionTower } from "./vision-tower.ts";

export interface ConversionPlan {
  name: string;
  model: FilePlan;
  projector: FilePlan | undefined;
  warnings: readonly string[];
}

/** Reads all headers and configurations of a folder, and decides on every key and tensor; no weight is read. */
export async function planConversion(folder: string, options: ConvertOptions): Promise<ConversionPlan> {
  const config = await requireConfig(folder);
  const text = readTextConfig(config);
  const format = llavaFormatOf(config);
  const stored = withCommonNames(folder, await openCheckpoint(folder));
  const tower = format && (await addVisionTower(folder, config, format, stored, options));
  const inventory = new Inventory(folder, tower?.tensors ?? stored);
  const card = await readModelCard(folder, config);
  const rows = countTokens(inventory);
  const tensors = planTextTensors(inventory, text, rows, options.type ?? "keep");
  const projector =
    tower && (await planProjector(folder, config, format, text.embedding, tower, inventory, card, options));
  inventory.close();
  const model = await planModel(folder, text, rows, tensors, card);
  return { name: card.name, model, projector, warnings: limitsOf(config, text) };
}

/** The configuration may say another number of tokens; the matrix does not lie. */
function countTokens(inventory: Inventory): number {
  return inventory.peek("model.embed_tokens.weight")?.shape[0] ?? 1;
}

async function requireConfig(folder: string): Promise<JsonFile> {
  const config = await readJsonFile(join(folder, "config.json"));
  if (config !== undefined) return config;
  throw new MullError("model_not_found", `${folder} has no config.json.`, {
    hint: "Give the folder of a model as Hugging Face has it: config.json, tokenizer and model*.safetensors.",
  });
}

async function planModel(
  folder: string,
  text: TextConfig,
  rows: number,
  tensors: readonly PlannedTensor[],
  card: ModelCard,
): Promise<FilePlan> {
  const { architecture } = text;
  const metadata = new Map([
    ...generalKeys(architecture, "model", card, tensors),
    ...textKeys(text, rows),
    ...(await readTokenizer(folder, { vocabularySize: rows, architecture })),
  ]);
  return { kind: "model", metadata, tensors };
}

/** What neither llama.cpp nor mull does of what the model was made for. */
function limitsOf(config: JsonFile, text: TextConfig): readonly string[] {
  const { slidingWindow, contextLength, ropeScaling } = text;
  const warnings: string[] = [];
  // LLaVA 1.0 only; later models were trained without.
  if (flagOf(config, "mm_use_im_start_end") === true) {
    warnings.push(
      "The model was trained with <im_start> and <im_end> around pictures, which mull does not write.",
    );
  }
  if (slidingWindow !== undefined && slidingWindow < contextLength) {
    warnings.push(
      `The model looks back on ${slidingWindow} tokens only; the engine lets it see all. Answers can differ in ` +
        `conversations longer than that.`,
    );
  }
  if (ropeScaling.type === "dynamic") {
    warnings.push(
      "The model's dynamic scaling of positions is left out: it holds to its original context length.",
    );
  }
  return warnings;
}
