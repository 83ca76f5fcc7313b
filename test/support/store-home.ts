import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import type { ModelStore } from "../../src/store/model-store.ts";
import { openStore } from "../../src/store/open-store.ts";
import { CliHarness, type HarnessOptions } from "./cli-harness.ts";

export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** A user's home with a store in it, and the command as that user runs it. */
export interface StoreHome {
  path: string;
  env: Record<string, string>;
  store: ModelStore;
  run: (...args: string[]) => Promise<Ran>;
  /** With something on standard input, at a terminal… */
  runWith: (options: HarnessOptions, ...args: string[]) => Promise<Ran>;
}

export function newStoreHome(parent: string): StoreHome {
  const path = mkdtempSync(join(parent, "home-"));
  const env = {
    HOME: path,
    XDG_DATA_HOME: join(path, "data"),
    XDG_CACHE_HOME: join(path, "cache"),
    MULL_MODELS: join(path, "store"),
    MULL_OFFLINE: "1",
    // Ollama's folder of the whole machine is not this user's.
    OLLAMA_MODELS: join(path, ".ollama", "models"),
  };
  const runWith = async (options: HarnessOptions, ...args: string[]): Promise<Ran> => {
    const cli = new CliHarness({ ...options, env: { ...env, ...options.env } });
    const code = await cli.run(...args);
    return { code, out: cli.out, err: cli.err };
  };
  return { path, env, store: openStore({ env }), run: (...args) => runWith({}, ...args), runWith };
}
