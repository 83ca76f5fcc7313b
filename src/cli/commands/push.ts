import { openStore } from "../../store/open-store.ts";
import { pushReference } from "../../store/push-reference.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { TransferView } from "../terminal/transfer-view.ts";

/**
 * `mull push`: uploads a model to the registry that its name tells.
 *
 * @returns the exit code
 */
export async function push(
  name: string,
  { insecure }: { insecure: boolean },
  context: CliContext,
): Promise<number> {
  const { env, stderr, signal } = context;
  const view = new TransferView(stderr, env);
  try {
    const store = openStore({ root: defaultStoreRoot(env) });
    await pushReference(name, store, { env, insecure, signal, onProgress: view.show });
  } finally {
    view.end();
  }
  return 0;
}
