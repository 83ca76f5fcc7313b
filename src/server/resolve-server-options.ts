import { MullError } from "../spec/errors.ts";
import { DEFAULT_ADDRESS } from "./listen-address.ts";
import { isLoopback } from "./loopback.ts";
import { hostName } from "./middleware/check-host.ts";
import { readEnvironment } from "./read-environment.ts";
import type { ServerOptions } from "./server-options.ts";

/** What a server is when nobody says otherwise. */
export const DEFAULT_SERVER_OPTIONS: ServerOptions = {
  ...DEFAULT_ADDRESS,
  apiKeys: [],
  allowedHosts: [],
  allowedOrigins: [],
  allowUrls: false,
  models: {},
  parallel: "auto",
  contextLength: undefined,
  maxQueue: 512,
  maxPerClient: 64,
  maxLoadedModels: 3,
  keepAliveMs: 5 * 60_000,
  requestTimeoutMs: 10 * 60_000,
  maxBodyBytes: 64 * 1024 ** 2,
  maxImages: 16,
  maxTokens: undefined,
  drainMs: 10_000,
};

/** Numbers and their least values; all are whole. */
const LEAST: Partial<Record<keyof ServerOptions, number>> = {
  port: 0,
  contextLength: 16,
  maxQueue: 0,
  maxPerClient: 1,
  maxLoadedModels: 1,
  maxBodyBytes: 1024,
  maxImages: 0,
  maxTokens: 1,
};

const MOST_PARALLEL = 60;

/**
 * All options of a server: what the caller says goes before what the environment says, and that before the defaults.
 *
 * @throws MullError `invalid_argument`; `forbidden` for a server that others could reach, and that asks for no key
 */
export function resolveServerOptions(
  given: Partial<ServerOptions>,
  env: NodeJS.ProcessEnv = {},
): ServerOptions {
  const options = { ...DEFAULT_SERVER_OPTIONS, ...readEnvironment(env), ...given };
  for (const name of Object.keys(options)) {
    if (!(name in DEFAULT_SERVER_OPTIONS)) throw wrong(name, "is not an option of the server");
  }
  for (const [name, least] of Object.entries(LEAST)) {
    const value = options[name as keyof ServerOptions];
    if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= least)) {
      throw wrong(name, `must be a whole number, ${least} or more; it is ${JSON.stringify(value)}`);
    }
  }
  if (options.port > 65_535) throw wrong("port", `must be at most 65535; it is ${options.port}`);
  for (const name of ["keepAliveMs", "requestTimeoutMs", "drainMs"] as const) {
    // NaN is not at least 0 either.
    if (!(options[name] >= 0)) throw wrong(name, `must be 0 or more; it is ${options[name]}`);
  }
  const { parallel } = options;
  if (parallel !== "auto" && !(Number.isInteger(parallel) && parallel >= 1 && parallel <= MOST_PARALLEL)) {
    throw wrong("parallel", `must be "auto" or a whole number, 1 to ${MOST_PARALLEL}; it is ${parallel}`);
  }
  for (const key of options.apiKeys) {
    if (!/^[\x21-\x7e]+$/.test(key))
      throw wrong("An API key", "must be visible ASCII characters without blanks");
  }
  if (options.apiKeys.length === 0 && !isLoopback(options.host)) {
    throw new MullError(
      "forbidden",
      `Others can reach a server on ${options.host}, so it needs an API key.`,
      {
        hint: "Set MULL_API_KEY or give --api-key-file, or listen on 127.0.0.1.",
      },
    );
  }
  return {
    ...options,
    allowedHosts: options.allowedHosts.map(checkedHost),
    allowedOrigins: options.allowedOrigins.filter((origin) => origin !== "").map(checkedOrigin),
  };
}

function checkedHost(host: string): string {
  const name = hostName(host);
  // A port is of no use: any is answered.
  if (name !== undefined) return name;
  throw wrong(`The host "${host}"`, "is no name or address, such as mull.example or [fd00::1]");
}

function checkedOrigin(origin: string): string {
  const bare = origin.replace(/\/$/, "");
  if (bare === "*" || /^[a-z*][a-z0-9+.*-]*:\/\/[^/\s]*$/i.test(bare)) return bare;
  throw wrong(`The origin "${origin}"`, "has not the form https://chat.example");
}

function wrong(name: string, what: string): MullError {
  return new MullError("invalid_argument", `${name} ${what}.`);
}
