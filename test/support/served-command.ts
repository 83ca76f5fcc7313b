import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** What of the tester's own environment would change a server. */
const SERVER_VARIABLES = /^(?:MULL|OLLAMA)_/;

/** The built `mull serve` as a process of its own. */
export interface ServedCommand extends AsyncDisposable {
  /** "http://127.0.0.1:12345" */
  url: string;
  pid: number;
  /** All that it has written to standard error, where its log goes. */
  log: () => string;
  signal: (name: NodeJS.Signals) => void;
  /** As a terminal's Ctrl-C and service managers do it: the processes that it has started get the signal too. */
  signalAll: (name: NodeJS.Signals) => void;
  /** Whether it, or a process that it has started, still runs. */
  isAnyAlive: () => boolean;
  /** Resolves when the process has ended. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const running = new Set<ChildProcess>();

/** Call it in every file that starts servers: none outlives its tests, whatever becomes of them. */
export function killServersAtEnd(): void {
  afterAll(() => {
    for (const child of running) child.kill("SIGKILL");
  });
}

/** Starts `mull serve` on a free port of loopback and waits until it says that it is well. */
export async function startServe(
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<ServedCommand> {
  const child = spawn(process.execPath, [main, "serve", "--port", "0", ...flags], {
    env: { ...cleanEnvironment(), ...env },
    stdio: ["ignore", "ignore", "pipe"],
    // A process group of its own.
    detached: true,
  });
  running.add(child);
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const ended = once(child, "close").then(([code, signal]) => {
    running.delete(child);
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  const url = await until(() => {
    if (child.exitCode !== null) throw new Error(`mull serve ended with ${child.exitCode}: ${log}`);
    return /^Serving on (\S+)$/m.exec(log)?.[1];
  }, "mull serve to listen");
  await until(async () => (await fetch(`${url}/health`)).ok, "mull serve to be well");
  return {
    url,
    pid: child.pid as number,
    log: () => log,
    signal: (name) => void child.kill(name),
    signalAll: (name) => void process.kill(-(child.pid as number), name),
    isAnyAlive: () => {
      try {
        return process.kill(-(child.pid as number), 0);
      } catch {
        return false;
      }
    },
    ended,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** This process's environment without what it says about servers. */
export function cleanEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !SERVER_VARIABLES.test(entry[0]),
  );
  // Home, data and store of the test file: the tester's are left alone.
  return {
    ...Object.fromEntries(entries),
    MULL_MODELS: process.env["MULL_MODELS"] ?? "",
    MULL_OFFLINE: "1",
  };
}

/** Waits for a value that is not false or undefined. */
export async function until<Value>(
  find: () => Value | Promise<Value>,
  what: string,
): Promise<Exclude<Value, false | undefined>> {
  for (let turn = 0; turn < 3000; turn++) {
    const value = await find();
    if (value !== false && value !== undefined) return value as Exclude<Value, false | undefined>;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Waited in vain for ${what}.`);
}

/** A gauge or counter of `/metrics`, summed over its labels; 0 while nothing counts it. */
export async function metricOf(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}
