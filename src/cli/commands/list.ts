import { BUNDLED_MODELS, bundledModel } from "../../store/bundled-models.ts";
import { shortDigest } from "../../store/digest.ts";
import { listModels } from "../../store/list-models.ts";
import { formatModelName, parseModelName } from "../../store/model-name.ts";
import type { ModelPlace } from "../../store/model-setup.ts";
import { listSavedModels, savedModelFile } from "../../store/saved-model.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { agoText } from "../terminal/ago-text.ts";
import { createPaint } from "../terminal/colour.ts";
import { filesOf, newestOf, sizeOf } from "../terminal/model-files.ts";
import { formatBytes } from "../terminal/format-quantity.ts";
import { safeName } from "../terminal/safe-text.ts";
import { tableText } from "../terminal/table.ts";

export interface ListSettings {
  /** Only names that begin so. */
  prefix?: string;
  /** Also what other programs keep, and where each model lies. */
  all: boolean;
  json: boolean;
}

interface Row {
  name: string;
  /** Twelve hex digits; "" for what has no manifest. */
  id: string;
  bytes: number;
  modifiedAt: Date;
  source: ModelPlace;
  /** Why it cannot be used. */
  problem?: string;
}

/**
 * `mull list`: the models of this machine. No header of a model file is read, so that many take no time.
 *
 * @returns the exit code: 1 when a manifest is damaged
 */
export async function list(settings: ListSettings, context: CliContext): Promise<number> {
  const { env, stdout, stderr } = context;
  const [{ models, damaged }, own, elsewhere] = await Promise.all([
    listModels(defaultStoreRoot(env)),
    ownModels(env),
    settings.all ? modelsElsewhere(env) : [],
  ]);
  const prefix = settings.prefix?.toLowerCase() ?? "";
  const rows = [
    ...models.map(({ name, digest, bytes, modifiedAt }): Row => ({
      name: formatModelName(name),
      id: shortDigest(digest),
      bytes,
      modifiedAt,
      source: "store",
    })),
    ...own,
    ...elsewhere,
  ].filter(({ name }) => name.toLowerCase().startsWith(prefix));

  if (settings.json) {
    for (const row of rows) stdout.write(`${JSON.stringify(row)}\n`);
  } else {
    const now = Date.now();
    const heading = ["NAME", "ID", "SIZE", "MODIFIED", ...(settings.all ? ["SOURCE"] : [])];
    const cells = rows.map(({ name, id, bytes, modifiedAt, source }) => [
      name,
      id === "" ? "-" : id,
      formatBytes(bytes),
      agoText(modifiedAt, now),
      ...(settings.all ? [source] : []),
    ]);
    stdout.write(tableText([heading, ...cells]));
  }
  const paint = createPaint(stderr, env);
  for (const { name, problem } of damaged) {
    stderr.write(`${paint("red", "Damaged:")} ${safeName(formatModelName(name))}: ${safeName(problem)}\n`);
  }
  for (const { name, source, problem } of rows) {
    if (problem === undefined) continue;
    stderr.write(`${paint("yellow", "Not usable:")} ${safeName(`${name} (${source}): ${problem}`)}\n`);
  }
  return damaged.length === 0 ? 0 : 1;
}

/** Those that ship with mull, and those that were saved in a conversation. */
async function ownModels(env: NodeJS.ProcessEnv): Promise<Row[]> {
  const bundled = BUNDLED_MODELS.map(async (model): Promise<Row> => {
    const name = parseModelName(model);
    const files = filesOf((name === undefined ? undefined : bundledModel(name)) ?? {});
    return {
      name: `${model}:latest`,
      id: "",
      bytes: await sizeOf(files),
      modifiedAt: await newestOf(files),
      source: "bundled",
    };
  });
  const saved = (await listSavedModels(env)).map(async (name): Promise<Row> => {
    const files = [savedModelFile(name, env)];
    return { name, id: "", bytes: await sizeOf(files), modifiedAt: await newestOf(files), source: "saved" };
  });
  return Promise.all([...bundled, ...saved]);
}

async function modelsElsewhere(env: NodeJS.ProcessEnv): Promise<Row[]> {
  const { listElsewhere } = await import("../../store/elsewhere/list-elsewhere.ts");
  const found = await listElsewhere(env);
  return found.map(({ name, bytes, modifiedAt, source, problem }) => ({
    name,
    id: "",
    bytes,
    modifiedAt,
    source,
    ...(problem === undefined ? {} : { problem }),
  }));
}
