import { join } from "node:path";
import { removeTree } from "./remove-tree.ts";
import { type Digest, hexOf, parseDigest } from "../digest.ts";
import { type BlobFiles, DAMAGED } from "./blob-files.ts";
import { TEMPORARY } from "./temporary-files.ts";
import { ifThere } from "./file-system.ts";
import { scanManifests } from "./manifest-scan.ts";
import { pinnedDigests, settlePins } from "./pins.ts";
import { ARRIVING } from "./publish-blob.ts";
import { isKnown, modelsByBlob } from "./references.ts";
import { changeStore, type StoreContext, workLock } from "./store-context.ts";

export interface PruneResult {
  removed: readonly Digest[];
  freedBytes: number;
}

/** Removes what nobody needs. */
export async function prune(
  context: StoreContext,
  blobs: BlobFiles,
  { partials = false }: { partials?: boolean } = {},
): Promise<PruneResult> {
  const { fs, paths } = context;
  await settlePins(context);
  const pruned = await changeStore(context, async (confirm) => {
    const scan = await scanManifests(fs, paths.manifests);
    const pinned = await pinnedDigests(context);
    const needed = modelsByBlob(scan);
    const there = await blobsThere(context);
    const doomed = isKnown(scan) ? there.filter((blob) => !needed.has(blob) && !pinned.has(blob)) : [];
    await confirm();
    let freedBytes = 0;
    for (const digest of doomed) freedBytes += await blobs.remove(digest);
    const leftovers = await findLeftovers(context, new Set(there));
    for (const { path } of leftovers) freedBytes += await removeTree(context.fs, path);
    return { removed: doomed, freedBytes, pinned };
  });
  const { removed, pinned } = pruned;
  // Without the store's lock: who downloads takes that while it has the lock of its download.
  const partialBytes = partials ? await removePartials(context, pinned) : 0;
  return { removed, freedBytes: pruned.freedBytes + partialBytes };
}

/** Blobs by the names of their files. */
export async function blobsThere({ fs, paths }: StoreContext): Promise<Digest[]> {
  const entries = (await ifThere(fs.readdir(paths.blobs))) ?? [];
  return entries.flatMap((entry) => {
    const digest = entry.isDirectory() ? undefined : parseDigest(entry.name);
    return digest !== undefined && entry.name === `sha256-${hexOf(digest)}` ? digest : [];
  });
}

/** A file that no blob is made of any more. */
export interface Leftover {
  path: string;
  problem: string;
}

/**
 * Files of dead processes, and what was found damaged.
 *
 * @param there blobs that are there: the records of others are left over
 */
export async function findLeftovers(
  context: StoreContext,
  there: ReadonlySet<Digest>,
): Promise<readonly Leftover[]> {
  const { claims, paths } = context;
  const leftovers: Leftover[] = [];
  for (const [folder, prefix] of [
    [paths.partial, TEMPORARY],
    [paths.verified, TEMPORARY],
    [paths.blobs, ARRIVING],
    [paths.manifests, ARRIVING],
    [paths.locks, ARRIVING],
    [paths.locks, TEMPORARY],
    [paths.locks, "choosing"],
    [paths.locks, "ticket"],
  ] as const) {
    for (const name of await namesIn(context, folder)) {
      if (!name.startsWith(`${prefix}.`) || (await claims.liveness(name)) !== "dead") continue;
      leftovers.push({ path: join(folder, name), problem: "its process died" });
    }
  }
  for (const folder of [paths.damaged, paths.blobs]) {
    for (const name of await namesIn(context, folder)) {
      if (!name.startsWith(`${DAMAGED}.`)) continue;
      leftovers.push({ path: join(folder, name), problem: "its content was not what its name said" });
    }
  }
  const hexes = new Set([...there].map(hexOf));
  for (const name of await namesIn(context, paths.verified)) {
    if (hexes.has(name) || !/^[0-9a-f]{64}$/.test(name)) continue;
    leftovers.push({ path: join(paths.verified, name), problem: "it is the record of a blob that is gone" });
  }
  return leftovers;
}

/** Unfinished downloads, but for those that go on: their blob is pinned, or somebody holds the lock of that name. */
async function removePartials(context: StoreContext, pinned: ReadonlySet<Digest>): Promise<number> {
  const { locks, paths } = context;
  const busyHexes = new Set([...pinned].map(hexOf));
  let freedBytes = 0;
  for (const name of await namesIn(context, paths.partial)) {
    const key = name.replace(/\.[^.]*$/, "");
    if (name.startsWith(`${TEMPORARY}.`) || busyHexes.has(key)) continue;
    const remove = (): Promise<number> => removeTree(context.fs, join(paths.partial, name));
    freedBytes += (await locks.ifFree(workLock(key), remove)) ?? 0;
  }
  return freedBytes;
}

async function namesIn({ fs }: StoreContext, folder: string): Promise<string[]> {
  return ((await ifThere(fs.readdir(folder))) ?? []).map(({ name }) => name);
}
