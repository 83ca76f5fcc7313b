import { type Command, InvalidArgumentError, Option } from "commander";
import { MullError } from "../../spec/errors.ts";
import type { Compatibility, EncoderPrecision, GenerationOptions, LoadOptions } from "../../spec/options.ts";
import { PARAMETERS, type Parameter, parseParameter } from "./parameters.ts";

/** What the flags of `mull run` say, checked. */
export interface RunSettings {
  files: readonly string[];
  load: LoadOptions;
  /** True: no server is asked, even if one runs. */
  local: boolean;
  system?: string;
  generation: GenerationOptions;
  json: boolean;
  receipt: boolean;
  verbose: boolean;
  wordWrap: boolean;
}

const COMPATIBILITIES: readonly Compatibility[] = ["llama.cpp"];
const PRECISIONS: readonly EncoderPrecision[] = ["auto", "f32", "f16", "bf16", "q8_0"];

/** Flags that say which model to load and how: `run` and `inspect` share them. */
export function addModelOptions(command: Command): Command {
  return command
    .option("--model-file <gguf>", "run a GGUF file on this disk")
    .option("--projector <gguf>", "its image encoder and projector (mmproj)")
    .option("--template <template>", "chat template: vicuna_v1, mistral_instruct, … or Jinja source")
    .addOption(
      new Option("--encoder-precision <type>", "type of the encoder's weights")
        .choices(PRECISIONS)
        .default("auto"),
    )
    .addOption(
      new Option(
        "--compat <program>",
        "see pictures as this program does, not as the model's own code",
      ).choices(COMPATIBILITIES),
    );
}

export function addRunOptions(command: Command): Command {
  command
    .option("-f, --file <path>", "attach a picture; may be given several times", collect)
    .option("--system <text>", "system message: how the model is to behave")
    .option("--local", "use an engine of one's own, even if a mull server runs")
    .option("--json", "print the parts of the answer as JSON, one per line")
    .option("--receipt", "print what the model saw of each picture, also into a log")
    .option("--verbose", "print receipts, times and rates after the answer");
  addModelOptions(command);
  for (const parameter of PARAMETERS) {
    command.option(`${flagOf(parameter)} <number>`, parameter.help, (text) => parseFlag(parameter, text));
  }
  return command
    .option("--stop <text>", "end the answer before this text; may be given several times", collect)
    .option("--nowordwrap", "don't break lines between words");
}

/** @throws MullError `invalid_argument` for flags that do not go together */
export function readRunSettings(flags: Record<string, unknown>): RunSettings {
  const stop = (flags["stop"] ?? []) as string[];
  if (stop.includes("")) throw new MullError("invalid_argument", "--stop needs a text that is not empty.");
  const system = flags["system"] as string | undefined;
  const numbers = readNumbers(flags);
  return {
    files: (flags["file"] ?? []) as string[],
    load: { ...readModelFlags(flags), ...numbers.load },
    ...(system === undefined ? {} : { system }),
    generation: { ...numbers.generation, ...(stop.length === 0 ? {} : { stop }) },
    local: flags["local"] === true,
    json: flags["json"] === true,
    receipt: flags["receipt"] === true,
    verbose: flags["verbose"] === true,
    wordWrap: flags["nowordwrap"] !== true,
  };
}

export function readModelFlags(flags: Record<string, unknown>): LoadOptions {
  const load: LoadOptions = {};
  if (flags["modelFile"] !== undefined) load.model = flags["modelFile"] as string;
  if (flags["projector"] !== undefined) load.projector = flags["projector"] as string;
  if (flags["template"] !== undefined) load.template = flags["template"] as string;
  const precision = flags["encoderPrecision"] as EncoderPrecision;
  if (precision !== "auto") load.encoderPrecision = precision;
  if (flags["compat"] !== undefined) load.compat = flags["compat"] as Compatibility;
  return load;
}

function readNumbers(flags: Record<string, unknown>): { load: LoadOptions; generation: GenerationOptions } {
  const load: LoadOptions = {};
  const generation: GenerationOptions = {};
  for (const parameter of PARAMETERS) {
    const value = flags[attributeOf(parameter)] as number | undefined;
    if (value !== undefined) setParameter(parameter, value, load, generation);
  }
  return { load, generation };
}

/** Puts a number where it belongs: into the options of loading or of generating. */
export function setParameter(
  parameter: Parameter,
  value: number,
  load: LoadOptions,
  generation: GenerationOptions,
): void {
  if (parameter.key === "contextLength" || parameter.key === "threads") load[parameter.key] = value;
  else generation[parameter.key] = value;
}

function flagOf(parameter: Parameter): string {
  return `--${parameter.name.replaceAll("_", "-")}`;
}

/** Commander's name of the flag: "num_ctx" → "--num-ctx" → "numCtx". */
function attributeOf(parameter: Parameter): string {
  return parameter.name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function parseFlag(parameter: Parameter, text: string): number {
  try {
    return parseParameter(parameter, text);
  } catch (error) {
    throw new InvalidArgumentError(MullError.wrap(error).message);
  }
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
