import { openStore } from "../../store/open-store.ts";
import { requireModelName, requireNewName } from "../../store/require-model-name.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { safeName } from "../terminal/safe-text.ts";

/** `mull cp`: a second name for a model. It takes no space. */
export async function copy(from: string, to: string, { env, stderr }: CliContext): Promise<number> {
  const store = openStore({ root: defaultStoreRoot(env) });
  await store.copy(requireModelName(from), await requireNewName(to, env));
  stderr.write(`copied '${safeName(from)}' to '${safeName(to)}'\n`);
  return 0;
}
