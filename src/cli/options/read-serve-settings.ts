import { readFile } from "node:fs/promises";
import path from "node:path";
import type { LogLevel } from "../../server/leveled-logger.ts";
import { parseListenAddress } from "../../server/listen-address.ts";
import { readCount, readDuration } from "../../server/read-environment.ts";
import type { ServerOptions } from "../../server/server-options.ts";
import { MullError } from "../../spec/errors.ts";
import type { LoadOptions } from "../../spec/options.ts";

export type LogFormat = "text" | "json";

/** What the flags of `mull serve` say; what they leave open, the environment or the defaults say. */
export interface ServeSettings {
  options: Partial<ServerOptions>;
  /** File with one key per line; blank lines and those that begin with # do not count. */
  apiKeyFile?: string;
  logFormat: LogFormat;
  logLevel: LogLevel;
}

/** @throws MullError `invalid_argument` for flags that cannot be */
export function readServeSettings(flags: Readonly<Record<string, unknown>>): ServeSettings {
  const options: Partial<ServerOptions> = {};
  if (flags["model"] !== undefined) options.models = readModels(flags["model"] as string[]);
  if (flags["allowUrls"] === true) options.allowUrls = true;
  for (const [flag, read] of Object.entries(FLAGS)) {
    if (flags[flag] !== undefined) Object.assign(options, read(flags[flag] as string));
  }
  for (const [flag, option] of Object.entries(LISTS)) {
    if (flags[flag] !== undefined) Object.assign(options, { [option]: flags[flag] });
  }
  const apiKeyFile = flags["apiKeyFile"] as string | undefined;
  return {
    options,
    ...(apiKeyFile === undefined ? {} : { apiKeyFile }),
    logFormat: flags["logFormat"] as LogFormat,
    logLevel: flags["logLevel"] as LogLevel,
  };
}

/** In this order: --port goes before a port in --host. */
const FLAGS: Readonly<Record<string, (text: string) => Partial<ServerOptions>>> = {
  host: (text) => parseListenAddress(text, "--host"),
  port: (text) => ({ port: readCount(text, "--port") }),
  parallel: (text) => ({ parallel: text === "auto" ? text : readCount(text, "--parallel") }),
  numCtx: (text) => ({ contextLength: readCount(text, "--num-ctx") }),
  maxTokens: (text) => ({ maxTokens: readCount(text, "--max-tokens") }),
  maxImages: (text) => ({ maxImages: readCount(text, "--max-images") }),
  requestTimeout: (text) => ({ requestTimeoutMs: readDuration(text, "--request-timeout") }),
  maxQueue: (text) => ({ maxQueue: readCount(text, "--max-queue") }),
  maxLoaded: (text) => ({ maxLoadedModels: readCount(text, "--max-loaded") }),
  keepAlive: (text) => ({ keepAliveMs: readDuration(text, "--keep-alive") }),
};

/** Flags that may be repeated, and the options that they are. */
const LISTS: Readonly<Record<string, keyof ServerOptions>> = {
  apiKey: "apiKeys",
  allowHost: "allowedHosts",
  allowOrigin: "allowedOrigins",
};

/** @throws MullError `invalid_argument` for a file that cannot be read, or holds no key */
export async function readApiKeys(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new MullError("invalid_argument", `The file of API keys ${file} cannot be read.`, { cause: error });
  }
  const lines = text.split("\n").map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (keys.length > 0) return keys;
  throw new MullError("invalid_argument", `The file of API keys ${file} holds none.`, {
    hint: "Write one key per line.",
  });
}

function readModels(models: readonly string[]): Record<string, LoadOptions> {
  const entries = models.map((text): [string, LoadOptions] => {
    const [, name, model, projector] = /^([^=]+)=([^,]+)(?:,([^,]+))?$/.exec(text) ?? [];
    if (name === undefined || model === undefined) {
      throw new MullError(
        "invalid_argument",
        `--model is "${text}", which is not NAME=FILE or NAME=FILE,PROJECTOR.`,
        {
          hint: "Such as --model llava=./llava.gguf,./mmproj.gguf",
        },
      );
    }
    const files = { model: path.resolve(model) };
    return [name, projector === undefined ? files : { ...files, projector: path.resolve(projector) }];
  });
  return Object.fromEntries(entries);
}
