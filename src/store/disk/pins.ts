import { constants } from "node:fs";
import { type Digest, parseDigest } from "../digest.ts";
import type { Pin } from "../model-store.ts";
import { claimSuffix } from "./claims.ts";
import { readSmallFile, writeFully } from "./durable-files.ts";
import { changeStore, type StoreContext } from "./store-context.ts";

const PIN = "pin";
const MOST_BYTES = 64 * 1024 * 1024;

/** A claim whose file lists digests, one a line. It grows under the store's lock, which a prune has as well. */
export async function createPin(context: StoreContext, digests: readonly Digest[]): Promise<Pin> {
  const { claims, fs } = context;
  const name = `${PIN}.${claimSuffix()}`;
  let written = 0;

  const write = async (more: readonly Digest[]): Promise<void> => {
    if (more.length === 0) return;
    const bytes = new TextEncoder().encode(`${more.join("\n")}\n`);
    const file = await fs.open(claims.path(name), constants.O_WRONLY);
    try {
      await writeFully(file, bytes, written);
      written += bytes.length;
    } finally {
      await file.close().catch(() => {});
    }
  };

  await changeStore(context, async () => {
    await claims.hold(name);
    await write(digests).catch(async (error: unknown) => {
      await claims.drop(name);
      throw error;
    });
  });
  return {
    add: (more) => changeStore(context, () => write(more)),
    release: () => claims.drop(name),
  };
}

/** What living processes have pinned. Pins of dead ones are removed. To be called under the store's lock. */
export async function pinnedDigests({ claims, fs }: StoreContext): Promise<ReadonlySet<Digest>> {
  const pinned = new Set<Digest>();
  for (const name of await claims.list(PIN)) {
    if ((await claims.liveness(name)) === "dead") {
      await claims.bury(name);
      continue;
    }
    const bytes = (await readSmallFile(fs, claims.path(name), MOST_BYTES)) ?? new Uint8Array();
    for (const line of new TextDecoder().decode(bytes).split("\n")) {
      const digest = parseDigest(line);
      // A line that was cut off belongs to a pin that failed.
      if (digest !== undefined) pinned.add(digest);
    }
  }
  return pinned;
}

/** Waits until of every pin it is known whether its process lives: at once, except for processes elsewhere. */
export async function settlePins({ claims }: StoreContext): Promise<void> {
  const names = await claims.list(PIN);
  await Promise.all(names.map((name) => claims.settledLiveness(name)));
}
