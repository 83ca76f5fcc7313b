import { once } from "node:events";
import { jsonLogger } from "../../server/json-logger.ts";
import { startServer } from "../../server/start-server.ts";
import { textLogger } from "../../server/text-logger.ts";
import type { CliContext } from "../cli-context.ts";
import { readApiKeys, readServeSettings } from "../options/read-serve-settings.ts";

/**
 * `mull serve`: a server until it is told to end. Then running answers may finish, for some seconds; whoever asks a
 * second time ends it at once.
 *
 * @param flags those of `addServeOptions`
 * @returns exit code 0
 * @throws MullError `invalid_argument`, `forbidden`: see `startServer`
 */
export async function serve(flags: Readonly<Record<string, unknown>>, context: CliContext): Promise<number> {
  const { stderr, env, load, signal } = context;
  const { options, apiKeyFile, logFormat, logLevel } = readServeSettings(flags);
  const createLogger = logFormat === "json" ? jsonLogger : textLogger;
  const log = createLogger(logLevel, (line) => void stderr.write(line));
  if (apiKeyFile !== undefined) {
    options.apiKeys = [...(options.apiKeys ?? []), ...(await readApiKeys(apiKeyFile))];
  }
  const server = await startServer(options, { env, log, load });
  stderr.write(`Serving on ${server.url}\n`);
  if (!signal.aborted) await once(signal, "abort");
  log.info("ending");
  await server.close();
  return 0;
}
