import { z } from "@hono/zod-openapi";
import { stat } from "node:fs/promises";
import { MullError } from "../../../spec/errors.ts";
import type { LoadOptions } from "../../../spec/options.ts";
import type { FileSource, Recipe } from "../../../store/create/recipe.ts";
import { parseDigest } from "../../../store/digest.ts";
import type { ModelStore } from "../../../store/model-store.ts";
import { filesOfModel } from "../../../store/locate-model.ts";
import { formatModelName } from "../../../store/model-name.ts";
import { MESSAGE_ROLES } from "../../../store/modelfile/modelfile.ts";
import {
  DEPRECATED_PARAMETERS,
  parametersOf,
  type Parameters,
  readParameters,
} from "../../../store/modelfile/parameters.ts";
import { listSavedModels } from "../../../store/saved-model.ts";
import { canonicalName } from "../../pool/model-name.ts";
import type { ServerContext } from "../../server-context.ts";
import type { Nullish } from "../nullish.ts";
import { modelField } from "../request-fields.ts";
import { requestReference } from "./request-reference.ts";

export type CreateRequest = Nullish<{
  model: string;
  name: string;
  from: string;
  files: Record<string, string>;
  adapters: Record<string, string>;
  template: string;
  system: string;
  license: string | string[];
  parameters: Record<string, unknown>;
  messages: { role: string; content: string }[];
  quantize: string;
  quantize_projector: string;
  stream: boolean;
}>;

const digests = z.record(z.string(), z.string()).nullish();

export const CreateRequest: z.ZodType<CreateRequest> = z
  .object({
    model: modelField,
    name: z.string().nullish().openapi({ description: "Old name of `model`." }),
    from: z.string().nullish().openapi({ description: "Name of a model to begin with." }),
    files: digests.openapi({ description: "Uploaded files by name: GGUF, or safetensors with their JSON." }),
    adapters: digests.openapi({ description: "Uploaded LoRA adapters (GGUF) by name." }),
    template: z.string().nullish(),
    system: z.string().nullish(),
    license: z.union([z.string(), z.array(z.string())]).nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    messages: z.array(z.object({ role: z.string(), content: z.string() })).nullish(),
    quantize: z.string().nullish().openapi({ example: "q4_K_M" }),
    quantize_projector: z.string().nullish().openapi({ description: "Extension.", example: "q8_0" }),
    stream: z.boolean().nullish().openapi({ description: "Progress line by line. Default true." }),
  })
  .openapi("OllamaCreateRequest");

/**
 * What the body of `/api/create` asks for.
 *
 * @throws MullError `invalid_argument`
 */
export async function recipeOf(
  body: CreateRequest,
  context: Pick<ServerContext, "store" | "options" | "env">,
): Promise<Recipe> {
  const { store } = context;
  const files = await uploaded(body.files ?? {}, store);
  const { from } = body;
  if (files.length === 0 && (from == null || from === "")) {
    throw new MullError("invalid_argument", "neither 'from' or 'files' was specified", {
      hint: "Name a model in from, or upload files with POST /api/blobs/… and name them in files.",
    });
  }
  if (files.length > 0 && from != null && from !== "") {
    throw new MullError("invalid_argument", "Both 'from' and 'files' were specified: give one of them.");
  }
  const base: Base = files.length > 0 ? { from: { files } } : await baseOf(from ?? "", context);
  const licenses = [body.license ?? []].flat();
  return {
    ...base,
    adapters: [...(base.adapters ?? []), ...(await uploaded(body.adapters ?? {}, store))],
    parameters: { ...base.parameters, ...checkedParameters(body.parameters ?? {}) },
    messages: (body.messages ?? []).map(({ role, content }) => ({ role: checkedRole(role), content })),
    licenses,
    ...(body.template == null || body.template === "" ? {} : { template: body.template }),
    ...(body.system == null || body.system === "" ? {} : { system: body.system }),
  };
}

/** What a recipe begins with, and what that sets. */
type Base = Pick<Recipe, "from"> & Partial<Pick<Recipe, "adapters" | "parameters" | "template">>;

/** By a name as this server's clients know it. */
async function baseOf(name: string, { options, env }: Pick<ServerContext, "options" | "env">): Promise<Base> {
  const key = formatModelName(requestReference(name).name).toLowerCase();
  const isSame = (other: string): boolean => canonicalName(other)?.toLowerCase() === key;
  const given = Object.entries(options.models).find(([other]) => isSame(other));
  if (given !== undefined) return baseOfGiven(given[1]);
  const saved = (await listSavedModels(env)).find(isSame);
  return { from: { model: saved ?? name } };
}

/** Files that the server was given under a name when it started. */
function baseOfGiven(load: LoadOptions): Base {
  const { model, splitFiles, projector, adapters } = filesOfModel(load);
  const paths = [...(splitFiles ?? [model]), ...(projector === undefined ? [] : [projector])];
  return {
    from: { files: paths.map((path) => ({ path })) },
    adapters: adapters.map((path) => ({ path })),
    parameters: parametersOf({}, load),
    ...(load.template === undefined ? {} : { template: load.template }),
  };
}

/** @throws MullError `invalid_argument` for what was not uploaded */
async function uploaded(files: Readonly<Record<string, string>>, store: ModelStore): Promise<FileSource[]> {
  const sources = Object.entries(files).map(async ([name, text]): Promise<FileSource> => {
    const digest = parseDigest(text);
    const isThere =
      digest !== undefined &&
      (await stat(store.paths.blob(digest)).then(
        () => true,
        () => false,
      ));
    if (digest !== undefined && isThere) return { blob: digest, name };
    throw new MullError("invalid_argument", `The file "${name.slice(0, 200)}" was not uploaded.`, {
      hint: "Send it with POST /api/blobs/sha256:… first.",
    });
  });
  return Promise.all(sources);
}

function checkedParameters(values: Readonly<Record<string, unknown>>): Parameters {
  const { stop, ...rest } = values;
  const { parameters, unknown, wrong } = readParameters({
    ...rest,
    ...(stop === undefined ? {} : { stop: typeof stop === "string" ? [stop] : stop }),
  });
  const [fault] = wrong;
  if (fault !== undefined) throw new MullError("invalid_argument", fault.message);
  const name = unknown.find((parameter) => !DEPRECATED_PARAMETERS.includes(parameter));
  if (name !== undefined) throw new MullError("invalid_argument", `unknown parameter '${name.slice(0, 50)}'`);
  return parameters;
}

function checkedRole(role: string): (typeof MESSAGE_ROLES)[number] {
  const known = MESSAGE_ROLES.find((candidate) => candidate === role);
  if (known !== undefined) return known;
  throw new MullError("invalid_argument", `A message cannot have the role "${role.slice(0, 50)}".`, {
    hint: `It can be ${MESSAGE_ROLES.join(", ")}.`,
  });
}
