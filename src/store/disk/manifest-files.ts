import { MullError } from "../../spec/errors.ts";
import { dirname, join } from "node:path";
import { type ModelName, modelName } from "../model-name.ts";
import { folderOfHost, hostOfFolder } from "../store-paths.ts";
import { claimSuffix } from "./claims.ts";
import { isOtherDisk, removeFile, syncFolder, writeNewFile } from "./durable-files.ts";
import { errorCode, ifThere } from "./file-system.ts";
import type { ManifestFile } from "./manifest-scan.ts";
import { ARRIVING } from "./publish-blob.ts";
import type { StoreContext } from "./store-context.ts";

/**
 * Where the manifest of a name lies, or would. Names are the same whatever their case; what is there keeps its own.
 */
export async function locateManifest(
  context: StoreContext,
  name: ModelName,
): Promise<ManifestFile & { isThere: boolean }> {
  const { paths } = context;
  const wanted = [folderOfHost(name.host), name.namespace, name.model, name.tag];

  /** The longest way into the tree that exists. */
  const follow = async (folder: string, level: number): Promise<readonly string[]> => {
    const part = wanted[level];
    if (part === undefined) return [];
    let longest: readonly string[] = [];
    for (const entry of await sameNames(context, folder, part, level === wanted.length - 1)) {
      const way = [entry, ...(await follow(join(folder, entry), level + 1))];
      if (way.length > longest.length) longest = way;
      if (level + longest.length === wanted.length) break;
    }
    return longest;
  };

  const found = await follow(paths.manifests, 0);
  const [host = "", namespace = "", model = "", tag = ""] = wanted.map((part, level) => found[level] ?? part);
  const own = modelName({ host: hostOfFolder(host), namespace, model, tag });
  return { name: own, path: paths.manifest(own), isThere: found.length === wanted.length };
}

/** Entries of a folder that are this name but for their case, the very same first. */
async function sameNames(
  { fs }: StoreContext,
  folder: string,
  wanted: string,
  isLast: boolean,
): Promise<readonly string[]> {
  const key = wanted.toLowerCase();
  const entries = ((await ifThere(fs.readdir(folder))) ?? []).filter(
    ({ name }) => name.toLowerCase() === key,
  );
  const obstacle = isLast ? undefined : entries.find((entry) => !entry.isDirectory());
  if (obstacle !== undefined) {
    throw new MullError("store_unavailable", `${join(folder, obstacle.name)} is no folder.`, {
      hint: "Links are not followed there. Move it away, or put a folder in its place.",
    });
  }
  return entries
    .map((entry) => entry.name)
    .sort((one, other) => Number(other === wanted) - Number(one === wanted));
}

/** Puts bytes in the place of a manifest in one step. They are on the disk afterwards. */
export async function placeManifest(
  { claims, fs, folders, paths, temporaries }: StoreContext,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  await folders.ensure(dirname(path));
  try {
    await temporaries.use(async (temporary) => {
      await writeNewFile(fs, temporary, bytes);
      await fs.rename(temporary, path);
    });
  } catch (error) {
    if (!isOtherDisk(error)) throw error;
    const name = `${ARRIVING}.${claimSuffix()}`;
    const beside = join(paths.manifests, name);
    await claims.hold(name);
    try {
      await writeNewFile(fs, beside, bytes);
      await fs.rename(beside, path);
    } finally {
      await removeFile(fs, beside).catch(() => {});
      await claims.drop(name);
    }
  }
  await syncFolder(fs, dirname(path));
}

/** Removes a manifest, and the folders that are empty without it. */
export async function removeManifest({ fs, folders, paths }: StoreContext, path: string): Promise<void> {
  // An empty folder in the place of a manifest is damage, and removed like one.
  const isFolder = (await ifThere(fs.lstat(path)))?.isDirectory() === true;
  if (isFolder) await fs.rmdir(path);
  else await removeFile(fs, path);
  await syncFolder(fs, dirname(path));
  for (let folder = dirname(path); folder.length > paths.manifests.length; folder = dirname(folder)) {
    folders.forget(folder);
    try {
      await fs.rmdir(folder);
    } catch (error) {
      // Not empty; or whatever else: an empty folder that stays does no harm.
      if (errorCode(error) !== "ENOENT") return;
    }
  }
}
