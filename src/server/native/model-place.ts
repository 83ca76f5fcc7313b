import type { CatalogEntry, Lease } from "../model-pool.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";

/** A request's place among those of a model. Give it back with `using`, whatever happened. */
export interface ModelPlace extends Disposable {
  entry: CatalogEntry;
  /**
   * The model, loaded if it was not. Read the request's pictures before: what is wrong with them should not wait for
   * a load.
   */
  acquire(): Promise<Lease>;
}

/** @throws MullError `model_not_found`, `server_busy`, `rate_limited` */
export async function enterModel(
  c: RequestContext,
  { models, admission }: ServerContext,
  name: string,
): Promise<ModelPlace> {
  const { client, signal } = c.var;
  const entry = await models.find(name);
  const leave = admission.enter(client, entry.name);
  let lease: Lease | undefined;
  return {
    entry,
    acquire: async () => (lease ??= await models.acquire(entry.name, { signal })),
    [Symbol.dispose]: () => {
      lease?.release();
      leave();
    },
  };
}
