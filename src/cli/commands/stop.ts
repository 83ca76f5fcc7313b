import { nearNames } from "../../spec/near-names.ts";
import { MullError } from "../../spec/errors.ts";
import type { CliContext } from "../cli-context.ts";
import { openServer } from "../server/open-server.ts";
import { isSameModel, listRunningModels } from "../server/server-models.ts";
import { safeName } from "../terminal/safe-text.ts";

export interface StopSettings {
  host?: string;
}

/**
 * `mull stop MODEL`: has a server unload a model when the requests that it works on have ended.
 *
 * @returns the exit code
 * @throws MullError `model_not_found` when it is not loaded; `server_unreachable`, `unauthorized`
 */
export async function stop(
  model: string,
  settings: StopSettings,
  { env, stderr, signal }: CliContext,
): Promise<number> {
  const server = openServer(settings.host, env);
  const running = (await listRunningModels(server, signal)).map(({ name }) => name);
  const found = running.find((name) => isSameModel(name, model));
  if (found === undefined) throw notRunning(model, running);
  await server.call("/api/generate", {
    method: "POST",
    body: { model: found, keep_alive: 0, stream: false },
    signal,
  });
  stderr.write(`Stopped ${safeName(found)}\n`);
  return 0;
}

function notRunning(model: string, running: readonly string[]): MullError {
  const near = nearNames(model, running);
  const hint =
    running.length === 0
      ? "No model is loaded."
      : near.length > 0
        ? `Did you mean ${near.join(" or ")}?`
        : `Loaded: ${running.join(", ")}.`;
  return new MullError("model_not_found", `The server has no model "${model}" loaded.`, { hint });
}
