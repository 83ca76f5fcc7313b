import { readFile } from "node:fs/promises";
import { MullError } from "../../spec/errors.ts";
import { readSettings } from "../model-settings.ts";
import type { ModelSetup } from "../model-setup.ts";
import type { FoundModel } from "./found-model.ts";

/**
 * A model of another program, where it lies, ready to be loaded.
 *
 * @throws MullError `invalid_model` for one that is damaged, or has to be converted first
 */
export async function openFoundModel(found: FoundModel): Promise<ModelSetup> {
  const { name, source, problem, projector, adapters = [] } = found;
  if (problem !== undefined) {
    throw new MullError("invalid_model", `${name}, which ${source} keeps here, cannot be used: ${problem}.`, {
      hint: `Get it again with that program, or with: mull pull ${name}`,
    });
  }
  const [model, ...moreParts] = found.model;
  if (found.kind === "folder" || model === undefined) {
    throw new MullError(
      "invalid_model",
      `${name} is a folder of safetensors, which has to be converted first.`,
      {
        hint: `echo FROM ${found.folder ?? name} | mull create NAME -f -`,
      },
    );
  }
  const read = async (path: string | undefined): Promise<string | undefined> =>
    path === undefined ? undefined : readText(path, name);
  const messages = await read(found.messages);
  const settings = readSettings(
    {
      template: await read(found.template),
      system: await read(found.system),
      params: await read(found.params),
      messages: messages === undefined ? [] : [messages],
    },
    name,
  );
  return {
    name,
    place: source,
    ...settings,
    load: {
      model,
      ...(moreParts.length === 0 ? {} : { splitFiles: [model, ...moreParts] }),
      ...(projector === undefined ? {} : { projector }),
      ...(adapters.length === 0 ? {} : { adapters }),
      ...settings.load,
    },
  };
}

async function readText(path: string, name: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (cause) {
    throw new MullError("invalid_model", `${name}: ${path} cannot be read as text.`, { cause });
  }
}
