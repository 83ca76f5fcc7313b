import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TextModelShape } from "../../bench/random-model.ts";
import { type Descriptor, layersOf } from "../../src/store/manifest.ts";
import type { StoredModel } from "../../src/store/model-store.ts";
import { openStore } from "../../src/store/open-store.ts";
import { type CommandResult, mull } from "./command.ts";
import { nameOf } from "./store-models.ts";
import { tinyPair } from "./tiny-models.ts";

/** A model that a first store has, and that was pushed to a registry. */
export interface PublishedModel {
  /** At the registry: "library/x". */
  repository: string;
  /** Of the store that it was pushed from. */
  root: string;
  stored: StoredModel;
  model: Descriptor;
  projector: Descriptor;
  /** What it says to `QUESTION`. */
  answer: string;
}

/** 29.8 MB in f32: the first 4 MiB and seven more pieces; a projector of 1.2 MB beside it. */
export const MANY_PIECES: Partial<TextModelShape> = {
  embedding: 512,
  heads: 8,
  keyValueHeads: 8,
  feedForward: 1408,
  vocabulary: 1000,
};
/** 15.3 MB: four pieces. */
export const FOUR_PIECES: Partial<TextModelShape> = { ...MANY_PIECES, blocks: 1, vocabulary: 600 };
/** 1.8 MB. */
export const ONE_PIECE: Partial<TextModelShape> = { embedding: 128, feedForward: 352, vocabulary: 1000 };

const QUESTION = ["hello", "--num-predict", "6", "--temperature", "0"];

/** Asks a model of a store, by the command; nothing is downloaded for it. */
export function ask(name: string, env: Record<string, string>): Promise<CommandResult> {
  return mull(["run", name, ...QUESTION], { env: { ...env, MULL_OFFLINE: "1" } });
}

/**
 * Makes a tiny random model with projector, system message and parameters with `mull create`, pushes it with `mull push`.
 *
 * @param folder for the model's files, its store (`first`), and as HOME
 * @param host of the registry, as a name says it: "127.0.0.1:12345"
 */
export async function publishModel(
  folder: string,
  host: string,
  options: { repository?: string; text?: Partial<TextModelShape>; system?: string } = {},
): Promise<PublishedModel> {
  const { repository = "library/x", text = MANY_PIECES, system = "Be brief." } = options;
  const root = join(folder, "first");
  const env = { MULL_MODELS: root, HOME: folder };
  const pair = await tinyPair(folder, { text, projector: { textEmbedding: text.embedding ?? 64 } });
  const modelfile = join(folder, "Modelfile");
  writeFileSync(modelfile, `FROM ${pair.model}\nPROJECTOR ${pair.projector}\nSYSTEM ${system}\n`);
  const name = `${host}/${repository}`;
  await succeed(mull(["create", name, "-f", modelfile], { env }));
  await succeed(mull(["push", `http://${name}`], { env }));
  const stored = (await openStore({ root }).find(nameOf(name))) as StoredModel;
  const [model, projector] = (["model", "projector"] as const).map(
    (kind) => layersOf(stored.manifest, kind)[0] as Descriptor,
  );
  const { stdout: answer } = await succeed(ask(name, env));
  return {
    repository,
    root,
    stored,
    model: model as Descriptor,
    projector: projector as Descriptor,
    answer,
  };
}

/** @throws Error with what it said, when a command fails */
export async function succeed(running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  if (result.code !== 0) throw new Error(`exit code ${result.code}: ${result.stdout}${result.stderr}`);
  return result;
}
