import { MullError } from "../../spec/errors.ts";
import { nearNames } from "../../spec/near-names.ts";
import { parseReference } from "../reference.ts";
import { decodeModelfile } from "./decode-modelfile.ts";
import { MESSAGE_ROLES, type Modelfile, type ModelfileMessage } from "./modelfile.ts";
import {
  DEPRECATED_PARAMETERS,
  isParameterName,
  PARAMETER_TYPES,
  type Parameters,
  readParameterText,
} from "./parameters.ts";
import { readTextValue } from "./text-value.ts";

export interface ParsedModelfile {
  modelfile: Modelfile;
  /** What was read and changes nothing, for the person who wrote it. */
  warnings: readonly string[];
}

/** Instructions of which the last one counts, by the field they set. */
const SINGLE = {
  TEMPLATE: "template",
  SYSTEM: "system",
  PROJECTOR: "projector",
  REQUIRES: "requires",
  DRAFT: "draft",
  RENDERER: "renderer",
  PARSER: "parser",
} as const;
const INSTRUCTIONS = ["FROM", "PARAMETER", "ADAPTER", "LICENSE", "MESSAGE", ...Object.keys(SINGLE)];

/** Of these, no text is a text; of all others it is a line that somebody did not finish. */
const MAY_BE_EMPTY = ["TEMPLATE", "SYSTEM", "LICENSE", "MESSAGE"];

/** An instruction, and the line on which it begins, from 1. */
interface Instruction {
  name: string;
  /** First word after PARAMETER and MESSAGE. */
  word: string;
  text: string;
  line: number;
}

type Fail = (line: number, problem: string, hint: string) => never;

/**
 * A Modelfile's whole grammar: Ollama's, and PROJECTOR. Instructions are read without case and in any order; `#` at the
 * beginning of a line makes it a comment.
 *
 * @param path for messages
 * @throws MullError `invalid_argument` with the line (`details.line`, from 1), what is wrong with it and what to write
 */
export function parseModelfile(source: string | Uint8Array, path: string = "Modelfile"): ParsedModelfile {
  const text = typeof source === "string" ? source : decodeModelfile(source, path);
  const lines = oneNewline(text.replace(/^\uFEFF/, ""));
  const fail: Fail = (line, problem, hint) => {
    const shown = lines.split(/\r\n|[\r\n]/)[line - 1]?.trim() ?? "";
    const quoted = shown === "" ? "" : `: ${shown.length > 80 ? `${shown.slice(0, 80)}…` : shown}`;
    throw new MullError("invalid_argument", `${path}, line ${line}: ${problem}${quoted}`, {
      hint,
      details: { line },
    });
  };
  return compose(readInstructions(lines, fail), fail);
}

/** A file from Windows has `\r\n` at every line, and nobody means the `\r`. Where lines differ, each is meant. */
function oneNewline(text: string): string {
  return /\r(?!\n)|(?<!\r)\n/.test(text) ? text : text.replaceAll("\r\n", "\n");
}

function readInstructions(source: string, fail: Fail): Instruction[] {
  const found: Instruction[] = [];
  let at = 0;
  let line = 1;
  const goTo = (end: number): void => {
    for (; at < end; at++)
      if (source[at] === "\n" || (source[at] === "\r" && source[at + 1] !== "\n")) line++;
  };
  const skip = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const match = pattern.exec(source)?.[0] ?? "";
    goTo(at + match.length);
    return match;
  };
  for (;;) {
    skip(BLANK);
    if (at >= source.length) return found;
    const name = skip(WORD).toUpperCase();
    if (!INSTRUCTIONS.includes(name)) {
      const near = nearNames(name, INSTRUCTIONS);
      fail(
        line,
        "it begins with no instruction",
        near.length > 0
          ? `Did you mean ${near.join(" or ")}?`
          : `Instructions are ${INSTRUCTIONS.join(", ")}.`,
      );
    }
    const word = name === "PARAMETER" || name === "MESSAGE" ? (skip(SPACES), skip(WORD)) : "";
    const start = line;
    const value = readTextValue(source, at);
    if (value === undefined) {
      return fail(
        start,
        "the text that begins here never ends",
        'Its last line must end in the quotes with which it begins: """text""". A text that only begins with a quote ' +
          "has to stand in such quotes as well.",
      );
    }
    goTo(value.end);
    found.push({ name, word, text: value.text, line: start });
  }
}

const BLANK = /(?:\s+|#[^\r\n]*)*/y;
const SPACES = /[ \t]*/y;
const WORD = /[^\s]*/y;

function compose(instructions: readonly Instruction[], fail: Fail): ParsedModelfile {
  const texts: Record<string, string> = {};
  const from: Instruction[] = [];
  const adapters: string[] = [];
  const licenses: string[] = [];
  const messages: ModelfileMessage[] = [];
  const parameters: Record<string, unknown> = {};
  const warnings: string[] = [];
  for (const instruction of instructions) {
    const { name, text, line } = instruction;
    if (text === "" && !MAY_BE_EMPTY.includes(name) && instruction.word !== "stop") {
      fail(line, `${name} says nothing`, `Write ${name} and what is meant, on one line.`);
    }
    if (name === "FROM") from.push(instruction);
    else if (name === "ADAPTER") adapters.push(text);
    else if (name === "LICENSE") licenses.push(text);
    else if (name === "MESSAGE") messages.push({ role: roleOf(instruction, fail), content: text });
    else if (name === "PARAMETER") setParameter(parameters, instruction, warnings, fail);
    else if (name === "REQUIRES") texts["requires"] = versionOf(instruction, fail);
    else texts[SINGLE[name as keyof typeof SINGLE]] = text;
  }
  const modelfile = {
    from: modelsOf(from, fail),
    ...texts,
    adapters,
    parameters: parameters as Parameters,
    messages,
    licenses,
  };
  return { modelfile, warnings };
}

/** One model, or the files of one. */
function modelsOf(from: readonly Instruction[], fail: Fail): Modelfile["from"] {
  const [first, ...more] = from;
  if (first === undefined)
    return fail(1, "no FROM says of which model", "Begin with FROM llava, or FROM ./model.gguf");
  const other = [first, ...more].find(({ text }) => !isPath(text));
  if (more.length > 0 && other !== undefined) {
    fail(
      (more[0] as Instruction).line,
      "there is a second FROM, and not all of them are files",
      "Several FROM lines name the files of one model. For a projector write PROJECTOR ./mmproj.gguf",
    );
  }
  return [first.text, ...more.map(({ text }) => text)];
}

function isPath(text: string): boolean {
  try {
    return parseReference(text).kind === "path";
  } catch {
    return false;
  }
}

function roleOf({ word, line }: Instruction, fail: Fail): ModelfileMessage["role"] {
  const role = MESSAGE_ROLES.find((known) => known === word.toLowerCase());
  return (
    role ?? fail(line, 'the role must be one of "system", "user" or "assistant"', "Write MESSAGE user Hello")
  );
}

/** As semantic versions, without the `v` that may stand before them. */
function versionOf({ text, line }: Instruction, fail: Fail): string {
  const version = /^v?(\d+(?:\.\d+){0,2}(?:[-+][\w.+-]+)?)$/.exec(text)?.[1];
  return version ?? fail(line, "this is no version", "Write REQUIRES 0.14.0");
}

function setParameter(
  parameters: Record<string, unknown>,
  { word, text, line }: Instruction,
  warnings: string[],
  fail: Fail,
): void {
  const name = word.toLowerCase();
  if (DEPRECATED_PARAMETERS.includes(name)) {
    warnings.push(`line ${line}: the parameter '${name}' is deprecated, and is ignored.`);
    return;
  }
  if (!isParameterName(name)) {
    const names = Object.keys(PARAMETER_TYPES);
    const near = nearNames(name, names);
    return fail(
      line,
      `unknown parameter '${word}'`,
      near.length > 0 ? `Did you mean ${near.join(" or ")}?` : `Parameters are ${names.join(", ")}.`,
    );
  }
  const value = readParameterText(name, text);
  if (value === undefined) {
    fail(
      line,
      `option "${name}" must be of type ${PARAMETER_TYPES[name]}`,
      text.includes("#")
        ? "A comment has a line of its own."
        : `Write PARAMETER ${name} and a value of that type.`,
    );
  }
  const before = parameters[name] as readonly string[] | undefined;
  parameters[name] = typeof value === "string" ? [...(before ?? []), value] : value;
}
