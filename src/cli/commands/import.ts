import { formatModelName } from "../../store/model-name.ts";
import { openStore } from "../../store/open-store.ts";
import { requireModelName } from "../../store/require-model-name.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { safeName } from "../terminal/safe-text.ts";
import { TransferView } from "../terminal/transfer-view.ts";

export interface ImportSettings {
  /** What to call it in the store. Default: as it is called where it is. */
  name?: string;
  /** Copy, even where a link would do. */
  copy: boolean;
}

/**
 * `mull import`: takes a model that another program downloaded, or a GGUF file, into the store; no byte is downloaded,
 * and none copied where the file system can link.
 */
export async function importFrom(
  source: string,
  settings: ImportSettings,
  context: CliContext,
): Promise<number> {
  const { env, stderr, signal } = context;
  const { importModel } = await import("../../store/elsewhere/import-model.ts");
  const view = new TransferView(stderr, env);
  try {
    const store = openStore({ root: defaultStoreRoot(env) });
    const stored = await importModel(store, source, {
      env,
      copy: settings.copy,
      signal,
      onProgress: view.show,
      ...(settings.name === undefined ? {} : { name: requireModelName(settings.name) }),
    });
    view.end();
    stderr.write(`imported as '${safeName(formatModelName(stored.name))}'\n`);
  } finally {
    view.end();
  }
  return 0;
}
