import { totalmem } from "node:os";
import { estimateFromSizes } from "../../engine/estimate-from-sizes.ts";
import { kindOf } from "../../store/manifest.ts";
import { openStore } from "../../store/open-store.ts";
import { pullReference } from "../../store/pull-reference.ts";
import type { RemoteModel } from "../../store/remote-model.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { createPaint } from "../terminal/colour.ts";
import { formatBytes } from "../terminal/format-quantity.ts";
import { safeName } from "../terminal/safe-text.ts";
import { TransferView } from "../terminal/transfer-view.ts";

export interface PullSettings {
  insecure: boolean;
}

/**
 * `mull pull`: downloads a model, and shows how far it is on stderr.
 *
 * @returns the exit code
 */
export async function pull(name: string, settings: PullSettings, context: CliContext): Promise<number> {
  await pullWithView(name, settings, context);
  return 0;
}

/** For every command that fetches a model that it needs. */
export async function pullWithView(
  name: string,
  { insecure }: PullSettings,
  context: CliContext,
): Promise<void> {
  const { env, stderr, signal } = context;
  const view = new TransferView(stderr, env);
  const paint = createPaint(stderr, env);
  try {
    await pullReference(name, openStore({ root: defaultStoreRoot(env) }), {
      env,
      insecure,
      signal,
      onProgress: view.show,
      beforeFetch: (remote) => {
        const warning = memoryWarning(remote);
        if (warning !== undefined) stderr.write(`${paint("yellow", "Warning:")} ${warning}\n`);
      },
    });
  } catch (error) {
    view.end();
    // The download of every layer stays, up to the last byte that is on the disk.
    if (signal.aborted) stderr.write(`Interrupted. To go on from here: mull pull ${safeName(name)}\n`);
    throw error;
  } finally {
    view.end();
  }
}

/** A model that this machine cannot run may be meant for another one: it is said, and pulled all the same. */
function memoryWarning({ blobs }: RemoteModel): string | undefined {
  const bytesOf = (kind: string): number =>
    blobs.reduce((sum, blob) => (kindOf(blob) === kind ? sum + (blob.size ?? 0) : sum), 0);
  const total = estimateFromSizes({ modelBytes: bytesOf("model"), projectorBytes: bytesOf("projector") });
  if (total <= totalmem()) return undefined;
  return `the model needs about ${formatBytes(total)} of memory; this machine has ${formatBytes(totalmem())}.`;
}
