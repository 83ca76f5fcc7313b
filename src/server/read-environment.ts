import { unquoted } from "../providers/server-address.ts";
import { MullError } from "../spec/errors.ts";
import { parseListenAddress } from "./listen-address.ts";
import { parseKeepAlive } from "./ollama/keep-alive.ts";
import type { ServerOptions } from "./server-options.ts";

/** Reads one variable into options; undefined: it says what is the default anyway. */
type Reader = (text: string, name: string) => Partial<ServerOptions> | undefined;

const VARIABLES: readonly (readonly [name: string, read: Reader])[] = [
  ["MULL_HOST", parseListenAddress],
  ["OLLAMA_HOST", parseListenAddress],
  ["MULL_API_KEY", (text) => ({ apiKeys: [text] })],
  ["OLLAMA_KEEP_ALIVE", (text, name) => ({ keepAliveMs: readDuration(text, name) })],
  ["OLLAMA_NUM_PARALLEL", (text, name) => ({ parallel: readCount(text, name) || "auto" })],
  ["OLLAMA_CONTEXT_LENGTH", readContextLength],
  ["OLLAMA_MAX_QUEUE", (text, name) => ({ maxQueue: readCount(text, name) })],
  ["OLLAMA_MAX_LOADED_MODELS", readMaxLoaded],
  ["OLLAMA_ORIGINS", (text) => ({ allowedOrigins: text.split(",").map((origin) => origin.trim()) })],
];

/**
 * What the environment says of a server: mull's variables, and Ollama's, whose place mull takes.
 *
 * @throws MullError `invalid_argument`
 */
export function readEnvironment(env: NodeJS.ProcessEnv): Partial<ServerOptions> {
  const options: Partial<ServerOptions> = {};
  for (const [name, read] of VARIABLES) {
    const text = unquoted(env[name] ?? "");
    // Half of an address from the one and half from the other would be neither.
    if (text === "" || (name === "OLLAMA_HOST" && unquoted(env["MULL_HOST"] ?? "") !== "")) continue;
    Object.assign(options, read(text, name));
  }
  return options;
}

/** "5m", or seconds, as Ollama has it; a negative one is for ever. In ms. */
export function readDuration(text: string, name: string): number {
  try {
    return parseKeepAlive(/^[+-]?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text);
  } catch {
    throw new MullError("invalid_argument", `${name} is "${text}", which is no duration.`, {
      hint: "Give one such as 5m, 1h30m or 90s, or a number of seconds; -1 is for ever.",
    });
  }
}

/** A whole number, 0 or more. */
export function readCount(text: string, name: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isInteger(value)) return value;
  throw new MullError("invalid_argument", `${name} must be a whole number, 0 or more; it is "${text}".`);
}

/** 0 is Ollama's word for its default. */
function readContextLength(text: string, name: string): Partial<ServerOptions> | undefined {
  const contextLength = readCount(text, name);
  return contextLength === 0 ? undefined : { contextLength };
}

/** 0 is Ollama's word for its default. */
function readMaxLoaded(text: string, name: string): Partial<ServerOptions> | undefined {
  const maxLoadedModels = readCount(text, name);
  return maxLoadedModels === 0 ? undefined : { maxLoadedModels };
}
