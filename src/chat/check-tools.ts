import { MullError } from "../spec/errors.ts";
import type { Tool, ToolChoice } from "../spec/tool.ts";

const MOST_TOOLS = 128;
const MOST_BYTES = 256 * 1024;
const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * Checks tools and a tool choice that come from outside; undefined and null are none, and `auto`.
 *
 * @throws MullError `invalid_argument` that names the place, such as `tools[2].name`
 */
export function checkTools(
  tools: unknown,
  choice: unknown,
): { tools: readonly Tool[]; toolChoice: ToolChoice } {
  const list = tools ?? [];
  if (!Array.isArray(list)) throw invalid("tools", "is no array");
  if (list.length > MOST_TOOLS)
    throw invalid("tools", `has ${list.length} entries; at most ${MOST_TOOLS} are allowed`);
  const checked = list.map((tool: unknown, index) => checkTool(tool, `tools[${index}]`));
  const names = checked.map(({ name }) => name);
  const twice = names.findIndex((name, index) => names.indexOf(name) < index);
  if (twice >= 0)
    throw invalid(`tools[${twice}].name`, `is "${names[twice]}", which another tool is called already`);
  requireFewBytes(checked);
  return { tools: checked, toolChoice: checkChoice(choice ?? "auto", names) };
}

function checkTool(tool: unknown, place: string): Tool {
  if (!isObject(tool)) throw invalid(place, "is no object");
  const { name, description, parameters } = tool;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw invalid(`${place}.name`, "must be 1 to 64 letters, digits, underscores, hyphens or dots");
  }
  if (description !== undefined && description !== null && typeof description !== "string") {
    throw invalid(`${place}.description`, "is no string");
  }
  if (parameters !== undefined && parameters !== null) checkParameters(parameters, `${place}.parameters`);
  return {
    name,
    ...(typeof description === "string" ? { description } : {}),
    ...(isObject(parameters) ? { parameters } : {}),
  };
}

/** Arguments are always an object. */
function checkParameters(parameters: unknown, place: string): void {
  if (parameters === true) return;
  if (!isObject(parameters)) throw invalid(place, "is no JSON Schema");
  const { type } = parameters;
  if (type !== undefined && type !== "object" && !(Array.isArray(type) && type.includes("object"))) {
    throw invalid(`${place}.type`, `is ${JSON.stringify(type)}; arguments are always an "object"`);
  }
}

function requireFewBytes(tools: readonly Tool[]): void {
  let bytes: number;
  try {
    bytes = Buffer.byteLength(JSON.stringify(tools));
  } catch {
    throw invalid("tools", "cannot be written as JSON: something is nested too deep, or contains itself");
  }
  if (bytes > MOST_BYTES)
    throw invalid("tools", `take ${bytes} bytes as JSON; at most ${MOST_BYTES} are allowed`);
}

function checkChoice(choice: unknown, names: readonly string[]): ToolChoice {
  if (choice === "auto" || choice === "none") return choice;
  if (choice === "required") {
    if (names.length === 0) throw invalid("toolChoice", 'is "required", but there are no tools');
    return choice;
  }
  if (!isObject(choice) || typeof choice["name"] !== "string") {
    throw invalid("toolChoice", 'must be "auto", "none", "required" or the name of a tool');
  }
  const { name } = choice;
  if (!names.includes(name)) {
    throw invalid(
      "toolChoice",
      `names "${name}", but the tools are called ${names.join(", ") || "nothing: there are none"}`,
    );
  }
  return { name };
}

function invalid(place: string, why: string): MullError {
  return new MullError("invalid_argument", `${place} ${why}.`, { details: { argument: place } });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
