#!/usr/bin/env node
import type { CliContext } from "./cli-context.ts";
import { runCli } from "./run-cli.ts";

/** 128 + the signal's number: what a shell reports for a process that a signal ended. */
const EXIT_BY_SIGNAL = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

process.exitCode = await main();
// Children and streams that are still open have nothing more to say.
process.stdout.write("", () => process.exit());

async function main(): Promise<number> {
  const stop = new AbortController();
  let signalExit: number | undefined;
  let outputExit: number | undefined;
  for (const [signal, exitCode] of Object.entries(EXIT_BY_SIGNAL)) {
    process.on(signal, () => {
      // The first one ends in order, the second at once.
      if ((signalExit ?? outputExit) !== undefined) process.exit(exitCode);
      signalExit = exitCode;
      stop.abort();
    });
  }
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // Every write that was under way fails; the first says all.
    if ((signalExit ?? outputExit) !== undefined) return;
    // `mull … | head -1`: the reader has what it wanted.
    outputExit = error.code === "EPIPE" ? 0 : 1;
    if (error.code !== "EPIPE")
      process.stderr.write(`Error: the answer could not be written: ${error.message}\n`);
    stop.abort();
  });
  // Without a reader of stderr there is nobody to tell.
  process.stderr.on("error", () => {});
  const context: CliContext = {
    // Opened when it is read.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    load: async (options) => (await import("../engine/load.ts")).load(options),
    signal: stop.signal,
  };
  const exitCode = await runCli(process.argv.slice(2), context);
  if (outputExit !== undefined) return outputExit;
  // A server that was told to end, and did, has not failed: service managers go by that.
  return exitCode === 0 ? 0 : (signalExit ?? exitCode);
}
