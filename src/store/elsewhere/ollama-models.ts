import { realpath, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { fileSystem } from "../disk/file-system.ts";
import { scanManifests } from "../disk/manifest-scan.ts";
import { expandHome, homeOf } from "../hugging-face/hub.ts";
import { blobsOf, kindOf, type LayerKind, layersOf } from "../manifest.ts";
import { formatModelName } from "../model-name.ts";
import type { StoredModel } from "../model-store.ts";
import { defaultStoreRoot, type StorePaths, storePaths } from "../store-paths.ts";
import { damaged, type FoundModel, printable } from "./found-model.ts";

/** Layers that only Ollama's own engine reads. */
const OLLAMA_ONLY = ["tensor", "draft"];

/**
 * Ollama's models: in `OLLAMA_MODELS`, in the home folder, and where the service of a Linux machine keeps them. Our own
 * store is left out where it is the same folder.
 */
export async function listOllamaModels(env: NodeJS.ProcessEnv): Promise<readonly FoundModel[]> {
  const chosen = env["OLLAMA_MODELS"]?.trim() ?? "";
  const roots = [
    ...(chosen === "" ? [] : [resolve(expandHome(chosen, env))]),
    join(homeOf(env), ".ollama", "models"),
    "/usr/share/ollama/.ollama/models",
  ];
  const seen = new Set([await realpath(defaultStoreRoot(env)).catch(() => "")]);
  const found: FoundModel[] = [];
  for (const root of roots) {
    const real = await realpath(root).catch(() => undefined);
    if (real === undefined || seen.has(real)) continue;
    seen.add(real);
    found.push(...(await listRoot(root)));
  }
  return found;
}

async function listRoot(root: string): Promise<readonly FoundModel[]> {
  const paths = storePaths(root);
  try {
    const scan = await scanManifests(fileSystem, paths.manifests);
    const models = await Promise.all(scan.models.map((model) => describe(paths, model)));
    return [
      ...models,
      ...scan.damaged.map(({ name, path, problem }) =>
        damaged("ollama", formatModelName(name), path, problem),
      ),
      ...scan.obstacles.map(({ path, problem }) => damaged("ollama", path, path, problem)),
    ];
  } catch (error) {
    return [damaged("ollama", root, root, MullError.wrap(error).message)];
  }
}

async function describe(
  paths: StorePaths,
  { name, manifest, bytes, modifiedAt }: StoredModel,
): Promise<FoundModel> {
  const pathsOf = (kind: LayerKind): readonly string[] =>
    layersOf(manifest, kind).map(({ digest }) => paths.blob(digest));
  const only = (key: "projector" | "template" | "system" | "params" | "messages"): Partial<FoundModel> => {
    const [path] = pathsOf(key);
    return path === undefined ? {} : { [key]: path };
  };
  const adapters = pathsOf("adapter");
  const model = pathsOf("model");
  const problem =
    model.length > 0 && !manifest.layers.some((layer) => OLLAMA_ONLY.includes(kindOf(layer) ?? ""))
      ? await missingBlob(paths, manifest)
      : "it is of a kind that only Ollama runs";
  return {
    name: printable(formatModelName(name)),
    source: "ollama",
    kind: "gguf",
    model,
    ...only("projector"),
    ...only("template"),
    ...only("system"),
    ...only("params"),
    ...only("messages"),
    ...(adapters.length === 0 ? {} : { adapters }),
    ...(problem === undefined ? {} : { problem }),
    bytes,
    modifiedAt,
    manifestPath: paths.manifest(name),
  };
}

async function missingBlob(
  paths: StorePaths,
  manifest: StoredModel["manifest"],
): Promise<string | undefined> {
  for (const { digest, size } of blobsOf(manifest)) {
    const stats = await stat(paths.blob(digest)).catch(() => undefined);
    if (stats === undefined) return `${digest.slice(0, 19)} is missing`;
    if (stats.size !== size) return `${digest.slice(0, 19)} has ${stats.size} bytes instead of ${size}`;
  }
  return undefined;
}
