import type { Model } from "../spec/model.ts";
import type { LoadOptions } from "../spec/options.ts";
import { anthropicRoutes } from "./anthropic/routes.ts";
import type { ConnectionLimits } from "./listen/connection-limits.ts";
import type { Logger } from "./logger.ts";
import { MemoryMediaStore } from "./memory-media-store.ts";
import { mullRoutes } from "./mull/routes.ts";
import { ollamaRoutes } from "./ollama/routes.ts";
import { openaiRoutes } from "./openai/routes.ts";
import { createAdmission } from "./pool/create-admission.ts";
import { openModels } from "./pool/open-models.ts";
import { PrometheusMetrics } from "./prometheus-metrics.ts";
import { resolveServerOptions } from "./resolve-server-options.ts";
import type { RouteModule } from "./route-module.ts";
import { type RunningServer, runServer } from "./run-server.ts";
import type { ServerOptions } from "./server-options.ts";

export type { RunningServer } from "./run-server.ts";

/** The dialects that a server speaks. */
const DIALECTS: readonly RouteModule[] = [mullRoutes, ollamaRoutes, openaiRoutes, anthropicRoutes];

/** What a server takes from outside. Everything has a default. */
export interface ServerSurroundings {
  /** Default: that of this process. */
  env?: NodeJS.ProcessEnv;
  /** Default: says nothing. */
  log?: Logger;
  /** Default: `load` of this package. */
  load?: (options: LoadOptions) => Promise<Model>;
  limits?: Partial<ConnectionLimits>;
}

/**
 * Starts a server for Ollama's and OpenAI's clients.
 *
 * @param given what is not given comes from the environment, or is the default: see `ServerOptions`
 * @throws MullError `invalid_argument`, `forbidden` (no key), `model_not_found` and `invalid_model` for a model that
 *   was named in `given.models`
 */
export async function startServer(
  given: Partial<ServerOptions> = {},
  surroundings: ServerSurroundings = {},
): Promise<RunningServer> {
  const { env = process.env, log = SILENT, load = loadModel, limits = {} } = surroundings;
  const options = resolveServerOptions(given, env);
  const { store, models } = await openModels({ options, env, log, load });
  if (options.allowedOrigins.includes("*")) log.warn("every web page may use this server: an origin is *");
  const context = {
    options,
    store,
    env,
    models,
    admission: createAdmission(options),
    media: new MemoryMediaStore(),
    metrics: new PrometheusMetrics(),
    log,
  };
  return runServer(context, DIALECTS, limits);
}

async function loadModel(options: LoadOptions): Promise<Model> {
  const { load } = await import("../engine/load.ts");
  return load(options);
}

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
