import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileName } from "../gguf-files/gguf-group.ts";
import { expandHome, hubHome } from "../hugging-face/hub.ts";
import { damaged, type FoundModel, type ModelSource, printable } from "./found-model.ts";
import { foundGgufs, ggufsAmong, isGguf, unreadFolders } from "./found-ggufs.ts";
import { walkFolder, type WalkedFile } from "./walk-folder.ts";

const MOST_REPOSITORIES = 10_000;
const MOST_SNAPSHOTS = 100;
const MOST_CONFIG_BYTES = 1024 * 1024;

/** The Hugging Face cache: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, else `hub` in the Hub's home. */
export async function listHuggingFaceCache(env: NodeJS.ProcessEnv): Promise<readonly FoundModel[]> {
  const chosen = env["HF_HUB_CACHE"] || env["HUGGINGFACE_HUB_CACHE"];
  const root = chosen === undefined || chosen === "" ? join(hubHome(env), "hub") : expandHome(chosen, env);
  return listHubCache(root, "hugging-face", (repository, variant) => `hf.co/${repository}${variant}`);
}

/**
 * The models in a folder of the Hub cache's layout: `models--org--repo/{refs,blobs,snapshots/<commit>/…}`, where
 * snapshots are links to blobs.
 *
 * @param nameOf from `org/repo` and `:Q4_K_M`, or "" for all there is
 */
export async function listHubCache(
  root: string,
  source: ModelSource,
  nameOf: (repository: string, variant: string) => string,
): Promise<readonly FoundModel[]> {
  let names: readonly string[];
  try {
    names = await readdir(root);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isThere = code !== "ENOENT" && code !== "ENOTDIR";
    return isThere ? [damaged(source, root, root, `cannot be read (${code ?? "unknown"})`)] : [];
  }
  const found: FoundModel[] = [];
  const folders = names.filter((name) => name.startsWith("models--")).sort();
  for (const folder of folders.slice(0, MOST_REPOSITORIES)) {
    const repository = folder.slice("models--".length).replaceAll("--", "/");
    found.push(...(await listRepository(join(root, folder), repository, source, nameOf)));
  }
  return found;
}

async function listRepository(
  path: string,
  repository: string,
  source: ModelSource,
  nameOf: (repository: string, variant: string) => string,
): Promise<readonly FoundModel[]> {
  const snapshots = await Promise.all(
    (await snapshotsOf(path)).map(async (folder) => ({ folder, files: await walkFolder(folder, WALK) })),
  );
  const projectors = snapshots.flatMap(({ files }) => files.filter(isProjector));
  const found = new Map<string, FoundModel>();
  for (const { folder, files } of snapshots) {
    // Files of one repository may have come at different times, and lie in different snapshots.
    const candidates = files.some(isProjector) ? files : projectors;
    const models = await foundGgufs(
      ggufsAmong(files),
      source,
      ({ quantization, parts }) => ({
        name: nameOf(repository, `:${quantization ?? fileName(parts[0] ?? "")}`),
        repository,
      }),
      candidates,
    );
    const safetensors = models.length > 0 ? undefined : await llavaFolder(folder, files);
    const all: readonly FoundModel[] = [
      ...models,
      ...unreadFolders(files, source, () => nameOf(repository, "")),
      ...(safetensors === undefined
        ? []
        : [{ ...safetensors, name: printable(nameOf(repository, "")), source, repository }]),
    ];
    // What the current snapshot has, too, is the newer one.
    for (const model of all) {
      const key = `${model.kind} ${fileName(model.model[0] ?? "")}`;
      const known = found.get(key);
      if (known === undefined || (known.problem !== undefined && model.problem === undefined))
        found.set(key, model);
    }
  }
  return [...found.values()];
}

const WALK = {
  depth: 6,
  wants: (name: string): boolean => isGguf(name) || name === "config.json" || name.endsWith(".safetensors"),
};

function isProjector({ relative, problem }: WalkedFile): boolean {
  return problem === undefined && isGguf(relative) && /mmproj/i.test(fileName(relative));
}

/** Paths: what `main` points to, then the others, the newest first. */
async function snapshotsOf(path: string): Promise<readonly string[]> {
  const snapshots = join(path, "snapshots");
  const commits = (await readdir(snapshots).catch(() => [])).slice(0, MOST_SNAPSHOTS);
  const main = await readSmall(join(path, "refs", "main"), 100).catch(() => "");
  const dated = await Promise.all(
    commits.map(async (commit) => {
      const at = await stat(join(snapshots, commit))
        .then(({ mtimeMs }) => mtimeMs)
        .catch(() => 0);
      return { commit, order: commit === main.trim() ? Infinity : at };
    }),
  );
  return dated.sort((a, b) => b.order - a.order).map(({ commit }) => join(snapshots, commit));
}

/** LLaVA's own layout and that of transformers: config.json names the family. */
async function llavaFolder(
  snapshot: string,
  files: readonly WalkedFile[],
): Promise<Omit<FoundModel, "name" | "source"> | undefined> {
  const weights = files.filter(({ relative }) => /^[^/]+\.safetensors$/.test(relative));
  const config = files.find(({ relative }) => relative === "config.json");
  if (weights.length === 0 || config === undefined || config.problem !== undefined) return undefined;
  if (!/llava/i.test(await familyOf(config.path))) return undefined;
  const broken = weights.find(({ problem, size }) => problem !== undefined || size === 0);
  return {
    kind: "folder",
    model: [],
    folder: snapshot,
    bytes: weights.reduce((sum, { size }) => sum + size, config.size),
    modifiedAt: new Date(Math.max(...weights.map(({ modifiedMs }) => modifiedMs))),
    ...(broken === undefined
      ? {}
      : { problem: `${printable(broken.relative)} ${broken.problem ?? "is empty"}` }),
  };
}

async function familyOf(config: string): Promise<string> {
  try {
    const value = JSON.parse(await readSmall(config, MOST_CONFIG_BYTES)) as Record<string, unknown> | null;
    return JSON.stringify([value?.["model_type"], value?.["architectures"]]);
  } catch {
    return "";
  }
}

async function readSmall(path: string, most: number): Promise<string> {
  const { size } = await stat(path);
  return size > most ? "" : readFile(path, "utf8");
}
