import type { Digest } from "../digest.ts";
import { blobsOf } from "../manifest.ts";
import type { VerifyEvent, VerifyOptions } from "../model-store.ts";
import type { BlobFiles, Rehashed } from "./blob-files.ts";
import { errorCode } from "./file-system.ts";
import { type ManifestScan, scanManifests } from "./manifest-scan.ts";
import { pinnedDigests } from "./pins.ts";
import { blobsThere, findLeftovers } from "./prune.ts";
import { modelsByBlob } from "./references.ts";
import type { StoreContext } from "./store-context.ts";
import { throwIfAborted } from "./store-error.ts";

/** Reads every manifest and hashes every blob, whatever their records say. */
export async function* verify(
  context: StoreContext,
  blobs: BlobFiles,
  options: VerifyOptions,
): AsyncGenerator<VerifyEvent, void, undefined> {
  const scan = await scanManifests(context.fs, context.paths.manifests);
  for (const { name, path, problem } of scan.damaged) {
    yield { kind: "unreadable-manifest", path, problem, models: [name] };
  }
  for (const obstacle of scan.obstacles) yield { kind: "unreadable-manifest", ...obstacle, models: [] };
  const sizes = new Map<Digest, number>();
  const reported = new Set<Digest>();
  for await (const event of verifyBlobs(context, blobs, scan, options)) {
    if (event.digest !== undefined && event.kind === "damaged") reported.add(event.digest);
    if (event.digest !== undefined && event.kind === "intact") sizes.set(event.digest, event.bytes ?? 0);
    yield event;
  }
  yield* findMissing(context, blobs, scan, new Set([...reported, ...sizes.keys()]));
  yield* findWrongSizes(scan, sizes);
  yield* reportLeftovers(context, scan);
}

async function* verifyBlobs(
  context: StoreContext,
  blobs: BlobFiles,
  scan: ManifestScan,
  options: VerifyOptions,
): AsyncGenerator<VerifyEvent, void, undefined> {
  const users = modelsByBlob(scan);
  for (const digest of await blobsThere(context)) {
    throwIfAborted(options.signal);
    const stats = await blobs.stats(digest);
    if (stats === undefined) continue;
    const about = { digest, path: context.paths.blob(digest), models: users.get(digest) ?? [] };
    const bytes = Number(stats.size);
    yield { kind: "checking", ...about, bytes };
    const found = await rehash(blobs, digest, options);
    if (found.state === "intact") yield { kind: "intact", ...about, bytes: found.size };
    else if (found.state !== "absent") yield { kind: "damaged", ...about, bytes, problem: found.problem };
  }
}

type Finding =
  | { state: "intact"; size: number }
  | { state: "absent" }
  | { state: "damaged"; problem: string };

/** A file that the disk does not give is reported, and stays where it is: it may be readable at another time. */
async function rehash(
  blobs: BlobFiles,
  digest: Digest,
  { signal, onProgress }: VerifyOptions,
): Promise<Finding> {
  try {
    return withProblem(await blobs.rehash(digest, { signal, onProgress }));
  } catch (error) {
    if (!["EIO", "EACCES", "EPERM"].includes(errorCode(error))) throw error;
    return { state: "damaged", problem: `it cannot be read: ${(error as Error).message}` };
  }
}

function withProblem(rehashed: Rehashed): Finding {
  const { state } = rehashed;
  if (state === "intact" || state === "absent") return rehashed;
  const changing = state === "changing";
  return {
    state: "damaged",
    problem: changing ? "somebody is writing to it" : "its content is not what its name says",
  };
}

/** Looks again before it says so: a model may have been removed meanwhile, with its blobs. */
async function* findMissing(
  { fs, paths }: StoreContext,
  blobs: BlobFiles,
  scan: ManifestScan,
  known: ReadonlySet<Digest>,
): AsyncGenerator<VerifyEvent, void, undefined> {
  if ([...modelsByBlob(scan).keys()].every((digest) => known.has(digest))) return;
  const now = await scanManifests(fs, paths.manifests);
  for (const [digest, models] of modelsByBlob(now)) {
    if (known.has(digest) || (await blobs.stats(digest)) !== undefined) continue;
    yield { kind: "missing", digest, path: paths.blob(digest), models };
  }
}

function* findWrongSizes(scan: ManifestScan, sizes: ReadonlyMap<Digest, number>): Generator<VerifyEvent> {
  for (const { name, path, manifest } of scan.models) {
    const wrong = blobsOf(manifest).find(({ digest, size }) => (sizes.get(digest) ?? size) !== size);
    if (wrong === undefined) continue;
    const problem = `it says that ${wrong.digest} has ${wrong.size} bytes, and that has ${sizes.get(wrong.digest)}`;
    yield { kind: "unreadable-manifest", path, problem, models: [name] };
  }
}

async function* reportLeftovers(
  context: StoreContext,
  scan: ManifestScan,
): AsyncGenerator<VerifyEvent, void, undefined> {
  const { paths } = context;
  const there = await blobsThere(context);
  const users = modelsByBlob(scan);
  const pinned = await pinnedDigests(context);
  for (const digest of there) {
    if (users.has(digest) || pinned.has(digest)) continue;
    yield { kind: "leftover", digest, path: paths.blob(digest), problem: "no model needs it", models: [] };
  }
  for (const leftover of await findLeftovers(context, new Set(there))) {
    yield { kind: "leftover", ...leftover, models: [] };
  }
}
