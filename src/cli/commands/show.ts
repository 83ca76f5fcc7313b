import { estimateModelMemory } from "../../engine/estimate-model-memory.ts";
import { MullError } from "../../spec/errors.ts";
import { type ModelFacts, readModelFacts, readModelHeaders } from "../../store/facts/model-facts.ts";
import { loadFiles } from "../../store/load-files.ts";
import type { ModelSetup } from "../../store/model-setup.ts";
import { parametersOf, parameterTexts } from "../../store/modelfile/parameters.ts";
import { printSetup } from "../../store/modelfile/print-setup.ts";
import { resolveModel } from "../../store/resolve-model.ts";
import type { CliContext } from "../cli-context.ts";
import { formatBytes, formatParameters } from "../terminal/format-quantity.ts";
import { safeName, safeText } from "../terminal/safe-text.ts";

type Row = readonly [label: string, value: string];

/** As of `load()`. */
const DEFAULT_CONTEXT = 4096;

/** A part of what is known that can be printed alone. */
const PARTS: Readonly<Record<string, (setup: ModelSetup, facts: ModelFacts) => string>> = {
  modelfile: (setup, facts) => printSetup(setup, facts.template),
  template: (_, facts) => facts.template,
  system: ({ system }) => system ?? "",
  parameters: (setup) =>
    parameterRows(setup)
      .map(([name, value]) => `${name.padEnd(30)} ${value}`)
      .join("\n"),
  license: ({ licenses = [] }, facts) => (licenses.length > 0 ? licenses.join("\n") : (facts.license ?? "")),
};

/** Whose folder a model lies in. */
const KEEPERS: Readonly<Record<Exclude<ModelSetup["place"], "file">, string>> = {
  bundled: "mull, which ships it",
  store: "mull",
  saved: "a saved conversation",
  ollama: "Ollama",
  "hugging-face": "Hugging Face's cache",
  "llama.cpp": "llama.cpp",
  "lm-studio": "LM Studio",
};

/**
 * `mull show`: what the headers of a model's files and its manifest say.
 *
 * @returns the exit code
 * @throws MullError `model_not_found`, `invalid_model`
 */
export async function show(
  name: string,
  flags: Readonly<Record<string, unknown>>,
  { env, stdout, signal }: CliContext,
): Promise<number> {
  const found = await resolveModel(name, { env, signal });
  const { projector } = flags;
  const setup = typeof projector === "string" ? { ...found, load: { ...found.load, projector } } : found;
  const { model, splitFiles, projector: projectorFile } = loadFiles(setup.load);
  const files = { ...setup.load, model: splitFiles ?? model, projector: projectorFile };
  const facts = await readModelFacts(files);

  const asked = Object.keys(PARTS).filter((part) => flags[part] === true);
  if (asked.length > 1) {
    throw new MullError("invalid_argument", `--${asked.join(" and --")} cannot be printed at once.`);
  }
  const part = PARTS[asked[0] ?? ""];
  if (part !== undefined) {
    stdout.write(withNewline(part(setup, facts)));
    return 0;
  }
  const { text, projector: vision, adapters } = await readModelHeaders(files);
  const context = Math.min(setup.load.contextLength ?? DEFAULT_CONTEXT, facts.contextLength);
  const memory = await estimateModelMemory(setup.load, context);
  if (flags["json"] === true) {
    const { load: _, ...settings } = setup;
    stdout.write(`${JSON.stringify({ ...settings, facts, memory })}\n`);
    return 0;
  }
  const sections: [title: string, rows: readonly Row[]][] = [
    [
      "Model",
      [
        ["architecture", facts.architecture],
        ["parameters", formatParameters(facts.parameters)],
        ["context length", String(facts.contextLength)],
        ["embedding length", String(facts.embeddingLength)],
        ["quantization", facts.quantization],
        ["size on disk", formatBytes(facts.bytes)],
        ["size in memory", `${formatBytes(memory.total)} with a context of ${context}`],
        ...(text.paths.length > 1 ? [["files", String(text.paths.length)] as const] : []),
        ...(adapters.length > 0 ? [["adapters", String(adapters.length)] as const] : []),
        ...(setup.place === "file" ? [] : [["kept by", KEEPERS[setup.place]] as const]),
      ],
    ],
  ];
  if (vision !== undefined) {
    const number = (key: string): string => String(vision.number(key) ?? "?");
    sections.push([
      "Projector",
      [
        ["type", vision.string("clip.projector_type") ?? "mlp"],
        ["image size", `${number("clip.vision.image_size")} pixels`],
        ["patch size", `${number("clip.vision.patch_size")} pixels`],
        ["embedding length", number("clip.vision.embedding_length")],
        ["blocks", number("clip.vision.block_count")],
        ["size on disk", formatBytes(vision.fileBytes)],
      ],
    ]);
  }
  const embeds = facts.capabilities.includes("embedding");
  sections.push(["Capabilities", facts.capabilities.map((capability): Row => [capability, ""])]);
  sections.push([
    "Modalities",
    [
      ["in", vision === undefined ? "text" : "text, image"],
      ["out", embeds ? "vectors" : "text"],
    ],
  ]);
  const parameters = parameterRows(setup);
  if (parameters.length > 0) sections.push(["Parameters", parameters]);
  if (setup.system !== undefined) sections.push(["System", [[firstLines(setup.system, 3), ""]]]);
  const license = setup.licenses?.[0] ?? facts.license;
  if (license !== undefined) sections.push(["License", [[firstLines(license, 2), ""]]]);
  stdout.write(sections.map(([title, rows]) => `  ${title}\n${tableOf(rows)}`).join("\n"));
  for (const warning of setup.warnings ?? []) stdout.write(`\n  ${safeName(warning)}\n`);
  return 0;
}

function parameterRows({ generation = {}, load, parameters }: ModelSetup): Row[] {
  return parameterTexts(parameters ?? parametersOf(generation, load)).map(([name, value]) => [
    name,
    name === "stop" ? JSON.stringify(value) : value,
  ]);
}

function tableOf(rows: readonly Row[]): string {
  return rows
    .map(([label, value]) =>
      value === "" ? indent(safeText(label)) : `    ${safeName(label).padEnd(20)}${safeName(value)}\n`,
    )
    .join("");
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `    ${line}\n`)
    .join("");
}

function firstLines(text: string, most: number): string {
  const lines = text.trim().split("\n");
  return lines.length <= most ? lines.join("\n") : `${lines.slice(0, most).join("\n")}\n…`;
}

function withNewline(text: string): string {
  return text === "" ? "" : `${safeText(text).trimEnd()}\n`;
}
