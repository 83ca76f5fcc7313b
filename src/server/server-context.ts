import type { HttpBindings } from "@hono/node-server";
import type { ModelStore } from "../store/model-store.ts";
import type { Logger } from "./logger.ts";
import type { MediaStore } from "./media-store.ts";
import type { Metrics } from "./metrics.ts";
import type { ModelPool } from "./model-pool.ts";
import type { Admission } from "./admission.ts";
import type { ServerOptions } from "./server-options.ts";

/** What every route works with. One per server. */
export interface ServerContext {
  options: ServerOptions;
  models: ModelPool;
  /** Where pulled and created models lie. */
  store: ModelStore;
  /** Proxies, tokens, and where other programs keep their models. */
  env: NodeJS.ProcessEnv;
  admission: Admission;
  media: MediaStore;
  metrics: Metrics;
  log: Logger;
}

/** Variables of a Hono request context, set by the middleware in front of all routes. */
export interface RequestVariables {
  requestId: string;
  /**
   * Whom the request is for: SHA-256 of the API key, or "" where none is asked for. Scheduling is fair between clients;
   * caches, pictures and digests of one are never seen by another.
   */
  client: string;
  /** Fires when the client goes away, the request runs over its time, or the server is told to end. */
  signal: AbortSignal;
  /** Lifts the limit on how long the request may take: for uploads and downloads, which are as long as they are. */
  takeYourTime: () => void;
  /** The body as a JSON value, read once; large ones are parsed off the main thread. Routes call `readBody`. */
  readJson: () => Promise<unknown>;
  /** Name of the model that the body names, for the log. `readBody` sets it. */
  model?: string;
}

/** The environment of every Hono app and middleware of the server. */
export interface ServerEnvironment {
  /** Node's request and response; absent when a test calls `app.request()` without a socket. */
  Bindings: Partial<HttpBindings>;
  Variables: RequestVariables;
}
