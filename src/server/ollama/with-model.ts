import type { AcquireOptions, CatalogEntry, Lease } from "../model-pool.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";

/** Does something with a loaded model within one place of its queue; both are given back whatever happens. */
export async function withModel<Result>(
  c: RequestContext,
  context: ServerContext,
  entry: CatalogEntry,
  acquire: AcquireOptions,
  use: (lease: Lease) => Result | Promise<Result>,
): Promise<Result> {
  const leave = context.admission.enter(c.var.client, entry.name);
  try {
    const lease = await context.models.acquire(entry.name, { ...acquire, signal: c.var.signal });
    try {
      return await use(lease);
    } finally {
      lease.release();
    }
  } finally {
    leave();
  }
}
