import { openStore } from "../../store/open-store.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { formatBytes, plural } from "../terminal/format-quantity.ts";

/** `mull prune`: removes files that no model needs. */
export async function prune(
  { partials }: { partials: boolean },
  { env, stdout }: CliContext,
): Promise<number> {
  const { removed, freedBytes } = await openStore({ root: defaultStoreRoot(env) }).prune({ partials });
  stdout.write(
    `Removed ${plural(removed.length, "file")} that no model needs: ${formatBytes(freedBytes)}.\n`,
  );
  return 0;
}
