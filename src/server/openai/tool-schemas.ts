import { z } from "@hono/zod-openapi";
import type { JsonSchema, Tool, ToolCall } from "../../spec/tool.ts";
import { invalidRequest } from "../wire/invalid-request.ts";
import { jsonSchema, toolName, type Nullish } from "../wire/wire-schemas.ts";

/** What of a function OpenAI's two APIs write alike; one wraps it in `function`, the other does not. */
export interface WireFunction extends Nullish<{
  description: string;
  parameters: JsonSchema;
  strict: boolean;
}> {
  name: string;
}

export const functionFields: { [Name in keyof WireFunction]-?: z.ZodType<WireFunction[Name]> } = {
  name: toolName,
  description: z.string().nullish(),
  parameters: jsonSchema.nullish(),
  strict: z.boolean().nullish().openapi({ description: "Accepted, without effect." }),
};

export function toTool({ name, description, parameters }: WireFunction): Tool {
  return {
    name,
    ...(description == null ? {} : { description }),
    ...(parameters == null ? {} : { parameters }),
  };
}

/**
 * Arguments of an earlier call: OpenAI writes them as JSON text.
 *
 * @throws MullError `invalid_argument` when they are no JSON object
 */
export function parseArguments(text: string, param: string): ToolCall["arguments"] {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidRequest(param, `${param} is not valid JSON.`, "Send the arguments as the model gave them.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidRequest(param, `${param} is JSON, but not an object.`);
  }
  return value as ToolCall["arguments"];
}
