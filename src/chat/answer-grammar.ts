import { MullError } from "../spec/errors.ts";
import type { StreamRequest } from "../spec/model.ts";
import type { JsonSchema, Tool, ToolChoice } from "../spec/tool.ts";
import { complement, intersect } from "./grammar/automaton.ts";
import { Budget } from "./grammar/budget.ts";
import { ANY_CHARACTER } from "./grammar/code-points.ts";
import { compile } from "./grammar/compile.ts";
import { repeat, sequence, set, text } from "./grammar/expression.ts";
import { GrammarText, literal } from "./grammar/grammar-text.ts";
import { jsonRule } from "./grammar/json-rules.ts";
import { writeText } from "./grammar/write-automaton.ts";
import { type SchemaSource, schemaRules } from "./json-schema-grammar.ts";
import { openedThought, thinkTags } from "./think-tags.ts";
import { type ToolFormat, isHarmony, toolFormat } from "./tool-format.ts";

/** Most calls in one answer, where the model must call something: a weak one would go on and on. */
const MOST_CALLS = 4;

export interface AnswerGrammarRequest {
  format?: "json" | JsonSchema;
  tools?: readonly Tool[];
  toolChoice?: ToolChoice;
  think?: StreamRequest["think"];
  /** Jinja source of the chat template: it says how the model writes calls and thoughts. */
  template: string;
  /** The end of the rendered prompt, which may have opened the model's thoughts. Default: it has not. */
  prompt?: string;
}

/** A tool, and the rule for its arguments. */
interface Callable {
  name: string;
  rule: string;
}

/**
 * The grammar for a whole answer, or undefined where nothing is to be enforced: JSON for a format; a call in the model's
 * own syntax for the tool choice `required` or a name; either of both for a format beside tools. Thoughts may come first
 * if the model thinks and is not told to leave it.
 *
 * @throws MullError `invalid_argument` for schemas that no grammar can enforce
 */
export function answerGrammar(request: AnswerGrammarRequest): string | undefined {
  const { format, toolChoice = "auto", template } = request;
  const mustCall = toolChoice === "required" || typeof toolChoice === "object";
  if (format === undefined && !mustCall) return undefined;
  const tools = (request.tools ?? []).filter(({ name }) =>
    typeof toolChoice === "object" ? name === toolChoice.name : toolChoice !== "none",
  );
  const sources: SchemaSource[] = tools.map(({ name, parameters }) => ({
    schema: parameters ?? true,
    name,
    mustBeObject: true,
  }));
  if (format !== undefined && !mustCall)
    sources.push({ schema: format === "json" ? { type: "object" } : format });

  if (mustCall && tools.length === 0) {
    throw new MullError("invalid_argument", "The tool choice demands a call, but there is no such tool.", {
      hint: 'Give tools, or choose "auto".',
    });
  }
  const grammar = new GrammarText();
  const tooling = toolFormat(template);
  const rules = schemaRules(grammar, sources);
  const alternatives: string[] = [];
  if (tools.length > 0) {
    const callables = tools.map(({ name }, place) => ({ name, rule: rules[place] as string }));
    alternatives.push(
      writeCalls(grammar, callables, tooling, typeof toolChoice === "object" ? 1 : MOST_CALLS),
    );
  }
  if (rules.length > tools.length) alternatives.push(finalText(rules.at(-1) as string, template));
  const body = grammar.define(alternatives.join(" | "));
  const thoughts = writeThoughts(grammar, request);
  grammar.set("root", thoughts === undefined ? body : `${thoughts} ${body}`);
  return grammar.toString();
}

function finalText(rule: string, template: string): string {
  return isHarmony(template) ? `${literal("<|channel|>final<|message|>")} ${rule}` : rule;
}

/** One or more calls in the syntax that `AnswerParser` reads, and that the model has learned. */
function writeCalls(
  grammar: GrammarText,
  tools: readonly Callable[],
  { name: syntax, open, close, between, argumentsKey }: ToolFormat,
  most: number,
): string {
  const ws = jsonRule(grammar, "ws");
  const oneOf = (write: (tool: Callable) => string): string => grammar.define(tools.map(write).join(" | "));
  const object = (): string => {
    const rest = oneOf(
      ({ name, rule }) =>
        `${literal(`${JSON.stringify(name)},`)} ${ws} ${literal(`"${argumentsKey}":`)} " "? ${rule}`,
    );
    return grammar.define(`"{" ${ws} ${literal('"name":')} " "? ${rest} ${ws} "}"`);
  };
  const list = (): string => {
    const call = object();
    const end = close === "" ? "" : ` ${literal(close)}`;
    return `"[" ${ws} ${call} ${several(grammar, `"," ${ws} ${call}`, most - 1)} ${ws} "]"${end}`;
  };
  const nameFirst = (): string => oneOf(({ name, rule }) => `${literal(open + name + between)} ${rule}`);
  switch (syntax) {
    case "harmony":
      return nameFirst();
    case "llama":
      return object();
    case "mistral":
      return `${literal(open)} " "? ${list()}`;
    case "list":
      return `${literal(open)} ${list()}`;
    case "mistral-args": {
      const call = nameFirst();
      return `${call} ${several(grammar, call, most - 1)}`;
    }
    default: {
      const call = grammar.define(`${literal(open)} "\\n"? ${object()} "\\n"? ${literal(close)}`);
      return `${call} ${several(grammar, `"\\n"? ${call}`, most - 1)}`;
    }
  }
}

function several(grammar: GrammarText, item: string, most: number): string {
  return most === 0 ? '""' : grammar.repeat(grammar.define(item), 0, most);
}

/** What may, or must, stand before the answer; undefined: nothing. */
function writeThoughts(
  grammar: GrammarText,
  { template, think, prompt = "" }: AnswerGrammarRequest,
): string | undefined {
  const opened = openedThought(template, prompt);
  if (opened !== undefined) return `${writeUntil(grammar, opened.close)} [ \\n]{0,4}`;
  if (think === false) return undefined;
  if (isHarmony(template)) {
    const analysis = writeUntil(grammar, "<|end|>");
    return `( ${literal("<|channel|>analysis<|message|>")} ${analysis} ${literal("<|start|>assistant")} )?`;
  }
  const tags = thinkTags(template);
  if (tags.length === 0) return undefined;
  const blocks = tags.map(({ open, close }) => `${literal(open)} ${writeUntil(grammar, close)} [ \\n]{0,4}`);
  return `( ${blocks.join(" | ")} )?`;
}

/** Any text up to a tag, and the tag. */
function writeUntil(grammar: GrammarText, tag: string): string {
  const budget = new Budget();
  const letter = set(ANY_CHARACTER);
  const upTo = compile(sequence(repeat(letter, 0, Infinity), text(tag)), budget);
  const beyond = sequence(repeat(letter, 0, Infinity), text(tag), repeat(letter, 1, Infinity));
  return writeText(
    grammar,
    intersect(upTo, complement(compile(beyond, budget), ANY_CHARACTER, budget), budget),
  );
}
