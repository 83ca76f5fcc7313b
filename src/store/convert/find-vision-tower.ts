import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { MullError } from "../../spec/errors.ts";

/**
 * The folder of a vision tower that a LLaVA-repo model names but does not hold: the one that the caller gives, else one
 * in or beside the model's folder, else Hugging Face's cache.
 *
 * @param tower what `mm_vision_tower` says: `openai/clip-vit-large-patch14-336`, or a path on its maker's machine, of
 *   which only the last part is used
 * @throws MullError `model_not_found` that says what to get
 */
export async function findVisionTower(
  folder: string,
  tower: string,
  given: string | undefined,
): Promise<string> {
  const own = resolve(folder);
  const name = basename(tower.replaceAll("\\", "/"));
  const safe = /^\w[\w.-]*$/.test(name) ? [name] : [];
  const candidates =
    given === undefined
      ? [
          ...["vision_tower", ...safe].map((child) => join(own, child)),
          ...safe.map((child) => join(dirname(own), child)),
        ]
      : [resolve(given)];
  if (given === undefined) candidates.push(...(await cachedFolders(tower)));
  for (const candidate of candidates) {
    if (await isFile(join(candidate, "config.json"))) return candidate;
  }
  throw new MullError(
    "model_not_found",
    given === undefined
      ? `${folder} does not hold its vision tower, ${tower}.`
      : `${given} has no config.json: it is not the folder of a vision tower.`,
    {
      hint:
        `Get ${tower} as safetensors from Hugging Face, and put its folder beside the model's or name it; ` +
        "or convert the model's llava-hf edition, which holds everything.",
      details: { visionTower: tower },
    },
  );
}

/** Folders of a repository in Hugging Face's cache: the revision that `main` is, as far as the cache knows. */
async function cachedFolders(repository: string): Promise<readonly string[]> {
  if (!/^\w[\w.-]*\/\w[\w.-]*$/.test(repository) || repository.includes("..")) return [];
  const { HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  const cache =
    HF_HUB_CACHE ?? join(HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface"), "hub");
  const root = join(cache, `models--${repository.replace("/", "--")}`);
  const revision = await readFile(join(root, "refs", "main"), "utf8").catch(() => "");
  return /^[\da-f]{40}\s*$/.test(revision) ? [join(root, "snapshots", revision.trim())] : [];
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}
