/** A JSON Schema (draft 2020-12), as the caller wrote it. What of it is supported: `chat/json-schema-grammar.ts`. */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** A function that the model may ask the caller to run. */
export interface Tool {
  /** Letters, digits, `_`, `-`, `.`; at most 64. */
  name: string;
  description?: string;
  /** Schema of its arguments, of type object. Default: any object. */
  parameters?: JsonSchema;
}

/** The model's wish to have a tool run. The caller runs it and answers with a message of role "tool". */
export interface ToolCall {
  /** Unique within the conversation. */
  id: string;
  name: string;
  arguments: { readonly [name: string]: unknown };
}

/**
 * `auto`: the model decides. `none`: it is not told of the tools. `required`: it must call one of them;
 * a name: it must call that one. The last two are enforced by a grammar, so they hold for every model.
 */
export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };
