import { Command, CommanderError } from "commander";
import { ERROR_TABLE, MullError } from "../spec/errors.ts";
import type { CliContext } from "./cli-context.ts";
import { addCacheCommand } from "./options/cache-options.ts";
import { addModelOptions, addRunOptions, readModelFlags, readRunSettings } from "./options/run-options.ts";
import { addServeOptions } from "./options/serve-options.ts";
import { addStoreCommands } from "./options/store-options.ts";
import { packageVersion } from "../spec/package-version.ts";
import { errorText } from "./report-error.ts";
import { createPaint } from "./terminal/colour.ts";

const EXAMPLES = `Examples:
  mull run pico "What's in this image?" ./smile.png
  cat photo.jpg | mull run pico "what is this?"
  mull run                                            talk with pico
  mull run --model-file llava.gguf --projector mmproj.gguf "describe ./x.png"
  mull run bakllava "describe ./x.png"                downloads the model if it is not there
  mull list                                           the models of this machine
  mull inspect *.png                                  what a model would see
  mull serve                                          for Ollama's and OpenAI's clients
`;

const RUN_EXAMPLES = `Examples:
  mull run pico "What's in this image?" ./smile.png
  mull run "compare ./a.png with ./b.png"
  mull run pico -f ./a.png -f ./b.png "which one is red?"
  cat photo.jpg | mull run pico "what is this?"
  cat notes.txt | mull run pico "in one sentence:" --json
`;

const INSPECT_EXAMPLES = `Examples:
  mull inspect ./smile.png
  mull inspect --json *.jpg
`;

const SERVE_EXAMPLES = `Examples:
  mull serve
  mull serve --model llava=./llava.gguf,./mmproj.gguf --keep-alive 1h
  mull serve --host 0.0.0.0 --api-key-file ./keys --allow-host gpu-box
`;

const RUN_NOTES = `
The first word is the model if it is written like one (pico, name:tag, hf.co/org/repo, a .gguf file); else the prompt
begins there and pico answers. MULL_OFFLINE=1: nothing is downloaded. Name pictures anywhere in the prompt; a path that leads nowhere is an error, never a guess.
Without a prompt, at a terminal, a conversation begins.
`;

const USAGE_ERROR = 2;

/**
 * The command: arguments to exit code. Never throws; what goes wrong is said on stderr.
 *
 * @param args without the program: `["run", "pico", "hello"]`
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  const { stderr, env } = context;
  let exitCode = 0;
  const program = createProgram(context, async (command) => {
    exitCode = await command();
  });
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has printed its message by now; help and version end in an "error" of code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_ERROR;
    // Whoever pressed Ctrl-C knows why it ended, whatever broke in doing so.
    if (context.signal.aborted) return ERROR_TABLE.aborted.exitCode;
    const wrapped = MullError.wrap(error);
    stderr.write(errorText(wrapped, createPaint(stderr, env)));
    if (wrapped.code === "internal" && env["MULL_DEBUG"] === "1") stderr.write(`${(error as Error).stack}\n`);
    return wrapped.exitCode;
  }
}

/** @param start runs a command and keeps its exit code */
function createProgram(
  context: CliContext,
  start: (command: () => Promise<number>) => Promise<void>,
): Command {
  const program = new Command("mull")
    .description("Ask pictures and text: multi-modal language models on this machine.")
    .version(packageVersion(), "-v, --version")
    .addHelpText("before", EXAMPLES)
    .showHelpAfterError("(--help shows how)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      getOutHelpWidth: () => context.stdout.columns ?? 100,
      getErrHelpWidth: () => context.stderr.columns ?? 100,
    });

  const runCommand = program
    .command("run")
    .argument(
      "[model]",
      "a name (downloaded if it is not here), a saved session, or a .gguf file (default: pico)",
    )
    .argument("[prompt...]", "what to ask; names pictures where you like")
    .description("Ask a model, or talk with it.")
    .addHelpText("before", RUN_EXAMPLES);
  addRunOptions(runCommand)
    .addHelpText("after", RUN_NOTES)
    .action((model: string | undefined, prompt: string[], flags: Record<string, unknown>) =>
      start(async () => {
        const { run } = await import("./commands/run.ts");
        return run(model === undefined ? prompt : [model, ...prompt], readRunSettings(flags), context);
      }),
    );

  const inspectCommand = program
    .command("inspect")
    .argument("<file...>", "pictures")
    .description("Print what a model would see of pictures, without asking it.")
    .addHelpText("before", INSPECT_EXAMPLES)
    .option("--model <model>", "the model that would look", "pico")
    .option("--no-model", "only open the pictures, without any model")
    .option("--json", "print one JSON object per line");
  addModelOptions(inspectCommand).action((files: string[], flags: Record<string, unknown>) =>
    start(async () => {
      const { inspect } = await import("./commands/inspect.ts");
      const { model } = flags;
      const load = { ...(typeof model === "string" ? { model } : {}), ...readModelFlags(flags) };
      return inspect(files, { load, useModel: model !== false, json: flags["json"] === true }, context);
    }),
  );

  addStoreCommands(program, context, start);
  addCacheCommand(program, context, start);
  const serveCommand = program
    .command("serve")
    .description("Serve models over HTTP, for clients of Ollama, OpenAI and Anthropic.")
    .addHelpText("before", SERVE_EXAMPLES);
  addServeOptions(serveCommand).action((flags: Record<string, unknown>) =>
    start(async () => {
      const { serve } = await import("./commands/serve.ts");
      return serve(flags, context);
    }),
  );

  addHostOption(program.command("ps"))
    .description("List the models that a running server has loaded.")
    .option("--json", "print one JSON object per line")
    .action((flags: { host?: string; json?: boolean }) =>
      start(async () => {
        const { ps } = await import("./commands/ps.ts");
        return ps({ ...flags, json: flags.json === true }, context);
      }),
    );

  addHostOption(program.command("stop"))
    .argument("<model>", "a model that is loaded")
    .description("Have a running server unload a model.")
    .action((model: string, flags: { host?: string }) =>
      start(async () => {
        const { stop } = await import("./commands/stop.ts");
        return stop(model, flags, context);
      }),
    );
  return program;
}

/** For commands that speak with a running server. */
function addHostOption(command: Command): Command {
  return command.option(
    "--host <address>",
    "the server's address (default: MULL_HOST, OLLAMA_HOST, 127.0.0.1:11434)",
  );
}
