import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  cwd?: string;
  /** Bytes for standard input; it is then closed. `null` gives the command no standard input at all. */
  stdin?: Uint8Array | string | null;
  env?: Record<string, string>;
  /** Options of Node itself, before the command's file. */
  nodeOptions?: readonly string[];
  /** A program that runs the command it is given, and its arguments: `["faketime", "-f", "-1y"]`. */
  through?: readonly string[];
  /** Called with the process when it runs, for what needs a signal or another descriptor. */
  onStart?: (child: ChildProcess) => void;
}

/** Runs the built `mull` command as a person would, and collects what it prints. */
export function mull(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const line = [
      ...(options.through ?? []),
      process.execPath,
      ...(options.nodeOptions ?? []),
      main,
      ...args,
    ];
    const child = spawn(line[0] as string, line.slice(1), {
      cwd: options.cwd,
      // The store and the home are those of the test file (own-cache.ts), and nothing is downloaded unasked. Nothing
      // listens on port 1: a server of whoever runs the tests is left alone.
      env: { ...process.env, NO_COLOR: "1", MULL_HOST: "127.0.0.1:1", ...options.env },
      stdio: [options.stdin === null ? "ignore" : "pipe", "pipe", "pipe"],
    });
    const result: CommandResult = { code: null, stdout: "", stderr: "" };
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (result.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (result.stderr += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...result, code }));
    // A command may end before it read its input.
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.stdin ?? "");
    options.onStart?.(child);
  });
}
