import { connectThrough } from "../../providers/remote-model.ts";
import { configuredServer, isLoopback } from "../../providers/server-address.ts";
import { probeServer, ServerClient } from "../../providers/server-client.ts";
import { MullError } from "../../spec/errors.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { DEFAULT_MODEL, isModelName } from "../ask/model-reference.ts";
import type { LoadModel } from "../cli-context.ts";
import { apiKey } from "./open-server.ts";
import { isSameModel, listModelNames } from "./server-models.ts";

/** On this machine a server answers at once, or there is none. Elsewhere it was named on purpose. */
const LOOPBACK_MS = 150;
const NETWORK_MS = 1500;

/**
 * Decides who loads a model: a running server when there is one that is mull and knows the name, else `own`. Files,
 * and models that are to be loaded in a certain way, are never the server's. Without a server this takes no time.
 *
 * The server is the one that MULL_HOST names, or whatever listens on this machine: OLLAMA_HOST may name another
 * machine, but it was not set for mull.
 *
 * @param say tells people who it is, and why
 * @throws MullError `invalid_argument` when MULL_HOST or OLLAMA_HOST is no address
 */
export async function chooseLoader(
  options: LoadOptions,
  own: LoadModel,
  env: NodeJS.ProcessEnv,
  say: (text: string) => void,
): Promise<LoadModel> {
  const { model = DEFAULT_MODEL, signal: _, onProgress: __, ...shape } = options;
  const asItIs = Object.values(shape).every((value) => value === undefined);
  if (!isModelName(model) || !asItIs) return own;
  const { address, from } = configuredServer(env);
  const local = isLoopback(address);
  if (!local && from !== "MULL_HOST") return own;
  const client = new ServerClient(address, apiKey(env));
  const useOwn = (reason: string): LoadModel => {
    say(`${reason} Own engine.`);
    return own;
  };
  try {
    const version = await probeServer(client, local ? LOOPBACK_MS : NETWORK_MS);
    if (version === undefined) return useOwn(`No mull server answers at ${address.host}.`);
    if (!(await knowsModel(client, model))) return useOwn(`The server at ${address.host} has no ${model}.`);
  } catch (error) {
    return useOwn(MullError.wrap(error).message);
  }
  say(`${model} runs on the server at ${address.host}.`);
  return ({ signal }) => connectThrough(client, model, signal);
}

async function knowsModel(client: ServerClient, name: string): Promise<boolean> {
  const names = await listModelNames(client, AbortSignal.timeout(NETWORK_MS));
  return names.some((known) => isSameModel(known, name));
}
