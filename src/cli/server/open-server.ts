import { configuredServer, parseServerAddress } from "../../providers/server-address.ts";
import { ServerClient } from "../../providers/server-client.ts";

/**
 * The server that a command speaks with: `--host`, else MULL_HOST, else OLLAMA_HOST, else the default address.
 * MULL_API_KEY is its key.
 *
 * @throws MullError `invalid_argument` for what is no address
 */
export function openServer(host: string | undefined, env: NodeJS.ProcessEnv): ServerClient {
  const address = host === undefined ? configuredServer(env).address : parseServerAddress(host, "--host");
  return new ServerClient(address, apiKey(env));
}

export function apiKey(env: NodeJS.ProcessEnv): string | undefined {
  const key = env["MULL_API_KEY"];
  return key === "" ? undefined : key;
}
