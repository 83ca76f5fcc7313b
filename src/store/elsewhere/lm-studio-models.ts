import { readFile, stat } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { fileName, type GgufGroup, stemOf } from "../gguf-files/gguf-group.ts";
import { homeOf } from "../hugging-face/hub.ts";
import type { FoundModel } from "./found-model.ts";
import { foundGgufs, ggufsAmong, isGguf, unreadFolders } from "./found-ggufs.ts";
import { walkFolder, type WalkedFile } from "./walk-folder.ts";

const MOST_SETTINGS_BYTES = 4 * 1024 * 1024;

/**
 * LM Studio's models, `publisher/repo/file.gguf`: in the folder its settings name (`downloadsFolder`), and in `models` of
 * its home, which `~/.lmstudio-home-pointer` names; else `~/.lmstudio`, and `~/.cache/lm-studio` of old versions.
 */
export async function listLmStudioModels(env: NodeJS.ProcessEnv): Promise<readonly FoundModel[]> {
  const found = new Map<string, FoundModel>();
  for (const root of await rootsOf(env)) {
    for (const model of await listRoot(root)) found.set(model.model.join("\0"), model);
  }
  return [...found.values()];
}

async function listRoot(root: string): Promise<readonly FoundModel[]> {
  const files = await walkFolder(root, { depth: 4, wants: isGguf });
  const repositories = new Map<string, WalkedFile[]>();
  for (const file of ggufsAmong(files)) {
    const key = file.relative.split("/").slice(0, -1).slice(0, 2).join("/");
    const some = repositories.get(key) ?? [];
    some.push(file);
    repositories.set(key, some);
  }
  const found: FoundModel[] = [];
  for (const [folder, some] of repositories) {
    const repository = folder.includes("/") ? folder : undefined;
    const name = (group: GgufGroup): string => {
      const file = group.parts[0] ?? "";
      return repository === undefined
        ? stemOf(file)
        : `${repository}:${group.quantization ?? fileName(file)}`;
    };
    found.push(...(await foundGgufs(some, "lm-studio", (group) => ({ name: name(group), repository }))));
  }
  return [...found, ...unreadFolders(files, "lm-studio")];
}

async function rootsOf(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const home = homeOf(env);
  const pointer = (await readSmall(join(home, ".lmstudio-home-pointer"))).trim();
  const homes = [pointer, join(home, ".lmstudio"), join(home, ".cache", "lm-studio")].filter(isAbsolute);
  const chosen = await Promise.all(homes.map(downloadsFolder));
  const roots = homes.flatMap((folder, index) => [chosen[index] ?? "", join(folder, "models")]);
  return [...new Set(roots.filter(isAbsolute).map((root) => resolve(root)))];
}

async function downloadsFolder(home: string): Promise<string | undefined> {
  try {
    const settings = JSON.parse(await readSmall(join(home, "settings.json"))) as Record<
      string,
      unknown
    > | null;
    const folder = settings?.["downloadsFolder"];
    return typeof folder === "string" && !folder.includes("\0") ? folder : undefined;
  } catch {
    return undefined;
  }
}

async function readSmall(path: string): Promise<string> {
  try {
    const stats = await stat(path);
    return stats.isFile() && stats.size <= MOST_SETTINGS_BYTES ? await readFile(path, "utf8") : "";
  } catch {
    return "";
  }
}
