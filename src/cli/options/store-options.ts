import type { Command } from "commander";
import type { CliContext } from "../cli-context.ts";
import type { CreateSettings } from "../commands/create.ts";

type Start = (command: () => Promise<number>) => Promise<void>;

const PULL_EXAMPLES = `Examples:
  mull pull bakllava
  mull pull hf.co/org/repo:Q4_K_M
  mull pull registry.example.com/team/vlm:v2
  mull pull https://example.com/llava.gguf
`;

const PULL_NOTES = `
A download that was broken off goes on where it ended, also days later. Proxies: HTTPS_PROXY, NO_PROXY.
Hugging Face: HF_TOKEN, HF_ENDPOINT. Models lie in MULL_MODELS, by default ~/.local/share/mull/models.
`;

const CREATE_EXAMPLES = `Examples:
  mull create my-llava                              from ./Modelfile
  mull create my-llava -f Modelfile -q q4_K_M
  echo FROM ./llava-1.5-7b-hf | mull create llava-hf -f -
`;

const LIST_EXAMPLES = `Examples:
  mull list
  mull list llava
  mull list --all            also what Ollama, Hugging Face, llama.cpp and LM Studio keep here
`;

const IMPORT_EXAMPLES = `Examples:
  mull import llava                   as Ollama has it
  mull import ./llava.gguf --name llava:own
`;

const VERIFY_NOTES = `
Exit code 1: something is damaged, and could not be fetched again. With MULL_OFFLINE=1 nothing is fetched.
`;

/** Commands about the models of this machine. @param start runs a command and keeps its exit code */
export function addStoreCommands(program: Command, context: CliContext, start: Start): void {
  program
    .command("pull")
    .argument("<model>", "a name, hf.co/org/repo[:quantization], or the address of a .gguf file")
    .description("Download a model.")
    .addHelpText("before", PULL_EXAMPLES)
    .addHelpText("after", PULL_NOTES)
    .option("--insecure", "speak plain HTTP with the registry")
    .action((model: string, flags: { insecure?: boolean }) =>
      start(async () => {
        const { pull } = await import("../commands/pull.ts");
        return pull(model, { insecure: flags.insecure === true }, context);
      }),
    );

  program
    .command("push")
    .argument("<model>", "a model of the store whose name tells the registry")
    .description("Upload a model to a registry.")
    .option("--insecure", "speak plain HTTP with the registry")
    .action((model: string, flags: { insecure?: boolean }) =>
      start(async () => {
        const { push } = await import("../commands/push.ts");
        return push(model, { insecure: flags.insecure === true }, context);
      }),
    );

  program
    .command("list")
    .alias("ls")
    .argument("[prefix]", "only models whose names begin so")
    .description("List the models of this machine.")
    .addHelpText("before", LIST_EXAMPLES)
    .option("--all", "also those that other programs keep")
    .option("--json", "print one JSON object per line")
    .action((prefix: string | undefined, flags: { all?: boolean; json?: boolean }) =>
      start(async () => {
        const { list } = await import("../commands/list.ts");
        const settings = { all: flags.all === true, json: flags.json === true };
        return list(prefix === undefined ? settings : { ...settings, prefix }, context);
      }),
    );

  program
    .command("show")
    .argument("<model>", "a name, or the path of a .gguf file")
    .description("Print what is known of a model, without loading it.")
    .option("--projector <file>", "the mmproj file that goes with a .gguf file")
    .option("--modelfile", "print the Modelfile that makes this model")
    .option("--template", "print only the chat template")
    .option("--system", "print only the system message")
    .option("--parameters", "print only the parameters")
    .option("--license", "print only the license")
    .option("--json", "print one JSON object")
    .action((model: string, flags: Record<string, unknown>) =>
      start(async () => {
        const { show } = await import("../commands/show.ts");
        return show(model, flags, context);
      }),
    );

  program
    .command("create")
    .argument("<model>", "what to call it")
    .description("Make a model of a Modelfile: from another model, a GGUF file, or a folder of safetensors.")
    .addHelpText("before", CREATE_EXAMPLES)
    .option("-f, --file <path>", "the Modelfile; - is stdin (default: ./Modelfile)")
    .option("-q, --quantize <type>", "quantise the text model, such as q4_K_M")
    .option("--quantize-projector <type>", "quantise the projector, such as q8_0")
    .option("--allow-requantize", "quantise what is quantised already, although it loses more")
    .action((model: string, flags: CreateSettings) =>
      start(async () => {
        const { create } = await import("../commands/create.ts");
        return create(model, flags, context);
      }),
    );

  program
    .command("import")
    .argument("<model>", "a model that another program keeps here, or the path of a .gguf file")
    .description("Take a model that is on this disk into the store; linked where the file system can.")
    .addHelpText("before", IMPORT_EXAMPLES)
    .option("--name <name>", "what to call it (default: as it is called where it is)")
    .option("--copy", "copy, even where a link would do")
    .action((source: string, flags: { name?: string; copy?: boolean }) =>
      start(async () => {
        const { importFrom } = await import("../commands/import.ts");
        const settings = { copy: flags.copy === true };
        return importFrom(
          source,
          flags.name === undefined ? settings : { ...settings, name: flags.name },
          context,
        );
      }),
    );

  program
    .command("cp")
    .argument("<from>", "a model of the store")
    .argument("<to>", "its second name")
    .description("Give a model a second name.")
    .action((from: string, to: string) =>
      start(async () => {
        const { copy } = await import("../commands/copy.ts");
        return copy(from, to, context);
      }),
    );

  program
    .command("rm")
    .argument("<model...>", "models of the store, or saved conversations")
    .description("Remove models, and the files that no other model needs.")
    .action((models: string[]) =>
      start(async () => {
        const { remove } = await import("../commands/remove.ts");
        return remove(models, context);
      }),
    );

  program
    .command("verify")
    .description("Check every byte of every model, and fetch again what is damaged or missing.")
    .addHelpText("after", VERIFY_NOTES)
    .option("--repair", "fetch again, also with MULL_OFFLINE=1")
    .option("--no-repair", "only say what is damaged")
    .action((flags: { repair?: boolean }) =>
      start(async () => {
        const { verify } = await import("../commands/verify.ts");
        return verify({ repair: flags.repair ?? context.env["MULL_OFFLINE"] !== "1" }, context);
      }),
    );

  program
    .command("prune")
    .description("Remove files of the store that no model needs.")
    .option("--partials", "unfinished downloads, too")
    .action((flags: { partials?: boolean }) =>
      start(async () => {
        const { prune } = await import("../commands/prune.ts");
        return prune({ partials: flags.partials === true }, context);
      }),
    );
}
