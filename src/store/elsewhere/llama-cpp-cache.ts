import { stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { fileName, type GgufGroup, stemOf } from "../gguf-files/gguf-group.ts";
import { homeOf } from "../hugging-face/hub.ts";
import type { FoundModel } from "./found-model.ts";
import { foundGgufs, ggufsAmong, isGguf, unreadFolders } from "./found-ggufs.ts";
import { listHubCache } from "./hugging-face-cache.ts";
import { walkFolder, type WalkedFile } from "./walk-folder.ts";

/**
 * What llama.cpp fetched: `LLAMA_CACHE`, else `llama.cpp` in the system's folder of caches. Until March 2026 files lay
 * flat as `org_repo_file.gguf`, with `manifest=org=repo=tag.json` beside them; since then it is the Hub cache's layout,
 * in the Hub's own folder unless `LLAMA_CACHE` names another.
 */
export async function listLlamaCppCache(env: NodeJS.ProcessEnv): Promise<readonly FoundModel[]> {
  const root = cacheFolder(env);
  const files = await walkFolder(root, {
    depth: 1,
    wants: (name) => isGguf(name) || /^manifest=.*\.json$/.test(name),
  });
  const repositories = await repositoriesOf(files);
  // All repositories lie in one folder, and projectors belong to what begins as they do. Without a manifest nobody knows
  // where `org` and `repo` end: the first two words are near enough to tell repositories apart.
  const groups = new Map<string, { repository?: string; files: WalkedFile[] }>();
  for (const file of ggufsAmong(files)) {
    const known = repositories.find(({ prefix }) => file.relative.startsWith(prefix));
    const key = known?.prefix ?? file.relative.split("_").slice(0, 2).join("_");
    const group = groups.get(key) ?? { ...known, files: [] };
    group.files.push(file);
    groups.set(key, group);
  }
  const found: FoundModel[] = [];
  for (const { repository, files } of groups.values()) {
    const name = (group: GgufGroup): string => {
      const file = group.parts[0] ?? "";
      return repository === undefined
        ? stemOf(file)
        : `${repository}:${group.quantization ?? fileName(file)}`;
    };
    found.push(...(await foundGgufs(files, "llama.cpp", (group) => ({ name: name(group), repository }))));
  }
  found.push(...unreadFolders(files, "llama.cpp"));
  return [
    ...found,
    ...(await listHubCache(root, "llama.cpp", (repository, variant) => repository + variant)),
  ];
}

/** Longest prefix first: `org_repo_` is also how `org/repo_2` begins. */
async function repositoriesOf(
  files: readonly WalkedFile[],
): Promise<readonly { prefix: string; repository: string }[]> {
  const repositories = new Map<string, string>();
  for (const { path, relative } of files) {
    const [, organisation, repository] = /^manifest=([^=]+)=([^=]+)=[^=]*\.json$/.exec(relative) ?? [];
    if (organisation === undefined || repository === undefined) continue;
    if ((await stat(path).catch(() => undefined))?.isFile() !== true) continue;
    repositories.set(`${organisation}_${repository}_`, `${organisation}/${repository}`);
  }
  return [...repositories]
    .map(([prefix, repository]) => ({ prefix, repository }))
    .sort((a, b) => b.prefix.length - a.prefix.length);
}

function cacheFolder(env: NodeJS.ProcessEnv): string {
  const chosen = env["LLAMA_CACHE"];
  if (chosen !== undefined && chosen !== "") return chosen;
  const home = homeOf(env);
  if (process.platform === "darwin") return join(home, "Library", "Caches", "llama.cpp");
  if (process.platform === "win32")
    return join(env["LOCALAPPDATA"] || join(home, "AppData", "Local"), "llama.cpp");
  const cache = env["XDG_CACHE_HOME"];
  return join(cache !== undefined && isAbsolute(cache) ? cache : join(home, ".cache"), "llama.cpp");
}
