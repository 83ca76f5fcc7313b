import type { TemplateTool, TemplateToolCall } from "../template-request.ts";
import { goJson } from "./go-json.ts";
import { goPrint } from "./go-print.ts";
import {
  goList,
  goMap,
  type GoList,
  type GoMap,
  type GoStruct,
  type GoValue,
  goValueOf,
} from "./go-value.ts";

type Json = Readonly<Record<string, unknown>>;

/**
 * Tools as Ollama gives them to templates: a tool's schema keeps what Ollama's types have a place for, and prints as
 * JSON wherever it is printed.
 */
export function ollamaTools(tools: readonly TemplateTool[] | undefined): GoList {
  const items = (tools ?? []).map(toolOf);
  return printsJson({ ...goList(items, "template.templateTools"), isNil: tools === undefined });
}

/** Earlier calls of an assistant. */
export function ollamaToolCalls(calls: readonly TemplateToolCall[]): GoList {
  const items = calls.map(({ id, function: { name, arguments: given } }): GoStruct => {
    const values = goValueOf(given);
    const isMap = typeof values === "object" && values.kind === "map";
    const called = struct("template.templateToolCallFunction", {
      Index: 0n,
      Name: name,
      Arguments: isMap ? printsJson({ ...values, type: "template.templateArgs" }) : values,
    });
    return struct("template.templateToolCall", { ID: id, Function: called });
  });
  return { ...goList(items, "[]template.templateToolCall"), isNil: calls.length === 0 };
}

function toolOf({ type, function: { name, description, parameters } }: TemplateTool): GoStruct {
  const schema = objectOf(parameters);
  const described = struct(
    "template.templateToolFunctionParameters",
    {
      Type: textOf(schema["type"]),
      Defs: goValueOf(schema["$defs"]),
      Items: goValueOf(schema["items"]),
      Required: textsOf(schema["required"]),
      Properties: propertiesOf(schema["properties"], "template.templateProperties"),
    },
    [
      ["Type", "type"],
      ["Defs", "$defs", true],
      ["Items", "items", true],
      ["Required", "required", true],
      ["Properties", "properties"],
    ],
  );
  const called = struct(
    "template.templateToolFunction",
    { Name: name, Description: description, Parameters: printsJson(described) },
    [
      ["Name", "name"],
      ["Description", "description"],
      ["Parameters", "parameters"],
    ],
  );
  const fields = { Type: type, Items: undefined, Function: printsJson(called) };
  return printsJson(
    struct("template.templateTool", fields, [
      ["Type", "type"],
      ["Items", "items", true],
      ["Function", "function"],
    ]),
  );
}

function propertiesOf(value: unknown, type: string): GoMap {
  const entries = Object.entries(objectOf(value)).map(
    ([name, property]) => [name, propertyOf(property)] as const,
  );
  return printsJson({ ...goMap(entries, type), zero: propertyOf({}) });
}

function propertyOf(value: unknown): GoStruct {
  const schema = objectOf(value);
  const { anyOf, properties } = schema;
  return struct(
    "api.ToolProperty",
    {
      AnyOf: goList(Array.isArray(anyOf) ? anyOf.map(propertyOf) : [], "[]api.ToolProperty"),
      Type: typesOf(schema["type"]),
      Items: goValueOf(schema["items"]),
      Description: textOf(schema["description"]),
      Enum: Array.isArray(schema["enum"]) ? goList(schema["enum"].map(goValueOf)) : goList([]),
      // Within a property, their order is kept.
      Properties:
        properties === undefined
          ? undefined
          : { ...propertiesOf(properties, "*api.ToolPropertiesMap"), ordered: true },
      Required: textsOf(schema["required"]),
    },
    [
      ["AnyOf", "anyOf", true],
      ["Type", "type", true],
      ["Items", "items", true],
      ["Description", "description", true],
      ["Enum", "enum", true],
      ["Properties", "properties", true],
      ["Required", "required", true],
    ],
  );
}

/** One type or several: alone it is printed as itself. */
function typesOf(value: unknown): GoList {
  const list = {
    ...textsOf(typeof value === "string" ? [value] : value),
    type: "api.PropertyType",
    unwraps: true,
  };
  const { items } = list;
  return items.length < 2 ? { ...list, text: () => (items.length === 0 ? "" : goPrint(items[0])) } : list;
}

export function struct(
  type: string,
  fields: Readonly<Record<string, GoValue>>,
  json: GoStruct["json"] = Object.keys(fields).map((name) => [name, name]),
): GoStruct {
  return { kind: "struct", type, fields: new Map(Object.entries(fields)), json };
}

function printsJson<T extends GoValue & object>(value: T): T {
  const printing: T = { ...value, text: () => goJson(printing) };
  return printing;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function textsOf(value: unknown): GoList {
  return goList(Array.isArray(value) ? value.filter((item) => typeof item === "string") : [], "[]string");
}

function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}
