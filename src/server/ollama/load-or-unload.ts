import type { AcquireOptions, CatalogEntry } from "../model-pool.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";
import { withModel } from "./with-model.ts";

/**
 * What a request without a question is for: to have a model there when it will be needed, or with `keep_alive: 0` to
 * have it gone.
 *
 * @returns what was done, as Ollama's `done_reason`
 */
export async function loadOrUnload(
  c: RequestContext,
  context: ServerContext,
  entry: CatalogEntry,
  acquire: AcquireOptions,
): Promise<"load" | "unload"> {
  if (acquire.keepAliveMs === 0) {
    await context.models.unload(entry.name);
    return "unload";
  }
  await withModel(c, context, entry, acquire, () => {});
  return "load";
}
