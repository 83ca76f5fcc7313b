import { MullError } from "../../spec/errors.ts";
import { openStore } from "../../store/open-store.ts";
import { requireModelName } from "../../store/require-model-name.ts";
import { removeSavedModel } from "../../store/saved-model.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { errorText } from "../report-error.ts";
import { createPaint } from "../terminal/colour.ts";
import { formatBytes } from "../terminal/format-quantity.ts";
import { safeName } from "../terminal/safe-text.ts";

/**
 * `mull rm`: removes models, and the blobs that nothing else needs. One that cannot be removed does not keep the others.
 *
 * @returns the exit code
 */
export async function remove(names: readonly string[], { env, stderr }: CliContext): Promise<number> {
  const store = openStore({ root: defaultStoreRoot(env) });
  const paint = createPaint(stderr, env);
  let exitCode = 0;
  for (const name of names) {
    try {
      if (await removeSavedModel(name, env)) {
        stderr.write(`deleted '${safeName(name)}'\n`);
        continue;
      }
      const { freedBytes } = await store.remove(requireModelName(name));
      stderr.write(`deleted '${safeName(name)}' (${formatBytes(freedBytes)} freed)\n`);
    } catch (error) {
      const wrapped = MullError.wrap(error);
      stderr.write(errorText(wrapped, paint));
      exitCode = wrapped.exitCode;
    }
  }
  return exitCode;
}
