import { existsSync } from "node:fs";
import { MullError } from "../../spec/errors.ts";
import { findElsewhere } from "../../store/elsewhere/find-elsewhere.ts";
import type { FoundModel } from "../../store/elsewhere/found-model.ts";
import { importModel } from "../../store/import-model.ts";
import { formatModelName } from "../../store/model-name.ts";
import { openStore } from "../../store/open-store.ts";
import { parseReference } from "../../store/reference.ts";
import { requireNewName } from "../../store/require-model-name.ts";
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
  const view = new TransferView(stderr, env);
  try {
    const store = openStore({ root: defaultStoreRoot(env) });
    const isPath = existsSync(source) || parseReference(source).kind === "path";
    const found = isPath ? source : await requireElsewhere(source, env);
    const stored = await importModel(store, found, {
      env,
      copy: settings.copy,
      signal,
      onProgress: view.show,
      ...(settings.name === undefined ? {} : { name: await requireNewName(settings.name, env) }),
    });
    view.end();
    stderr.write(`imported as '${safeName(formatModelName(stored.name))}'\n`);
  } finally {
    view.end();
  }
  return 0;
}

async function requireElsewhere(name: string, env: NodeJS.ProcessEnv): Promise<FoundModel> {
  const found = await findElsewhere(name, env);
  if (found !== undefined) return found;
  throw new MullError("model_not_found", `No other program keeps a model called "${name}" here.`, {
    hint: `mull list --all shows which there are. To download it: mull pull ${name}`,
  });
}
