import { templateFeatures } from "./template-features.ts";

/**
 * How a model writes tool calls:
 * - `hermes`: `<tool_call>\n{"name": …, "arguments": …}\n</tool_call>` for each call (Hermes, Qwen; any model that has
 *   no form of its own is taught this one);
 * - `llama`: `{"name": …, "parameters": …}` as the whole answer, or after `<|python_tag|>` (Llama 3.1 and newer);
 * - `mistral`: `[TOOL_CALLS][{"name": …, "arguments": …}, …]`;
 * - `mistral-args`: `[TOOL_CALLS]name[ARGS]{…}` for each call (Mistral since late 2024);
 * - `list`: `<|tool_call|>[{"name": …, "arguments": …}, …]` (Granite 3, Phi 4 mini);
 * - `harmony`: `<|channel|>commentary to=functions.name <|constrain|>json<|message|>{…}` (gpt-oss).
 */
export interface ToolFormat {
  name: "hermes" | "llama" | "mistral" | "mistral-args" | "list" | "harmony";
  /** Whether the template tells the model of tools in this form; else they are explained in the system message. */
  native: boolean;
  /**
   * What a call is: `object`: `open {name, arguments} close`, once per call; `list`: `open [object, …] close`, once
   * per answer; `name-first`: `open name between {arguments} close`, once per call.
   */
  body: "object" | "list" | "name-first";
  /** Texts around a call, or around the list of calls; each may be empty. */
  open: string;
  close: string;
  /** Between the name and the arguments when the name comes first. */
  between: string;
  /** Key of the arguments beside `name`. */
  argumentsKey: "arguments" | "parameters";
}

const HERMES: ToolFormat = {
  name: "hermes",
  native: false,
  body: "object",
  open: "<tool_call>",
  close: "</tool_call>",
  between: "",
  argumentsKey: "arguments",
};

/** How the model of this chat template writes tool calls. */
export function toolFormat(template: string): ToolFormat {
  const native = templateFeatures(template).tools;
  const has = (...parts: readonly RegExp[]): boolean => native && parts.every((part) => part.test(template));
  const own = { ...HERMES, native, close: "" };
  if (isHarmony(template)) {
    const open = "<|channel|>commentary to=functions.";
    return { ...own, name: "harmony", body: "name-first", open, between: " <|constrain|>json<|message|>" };
  }
  if (has(/\[TOOL_CALLS\]/, /\[ARGS\]/)) {
    return { ...own, name: "mistral-args", body: "name-first", open: "[TOOL_CALLS]", between: "[ARGS]" };
  }
  if (has(/\[TOOL_CALLS\]/)) return { ...own, name: "mistral", body: "list", open: "[TOOL_CALLS]" };
  if (has(/<\|tool_call\|>/)) {
    const close = template.includes("<|/tool_call|>") ? "<|/tool_call|>" : "";
    return { ...own, name: "list", body: "list", open: "<|tool_call|>", close };
  }
  if (has(/<tool_call>/, /["']name\\?["']/, /["']arguments\\?["']/)) return { ...HERMES, native };
  if (has(/["']parameters\\?["']/, /<\|python_tag\|>|ipython/)) {
    return { ...own, name: "llama", open: "", argumentsKey: "parameters" };
  }
  return HERMES;
}

/** The tag with which calls begin in an answer: Llama's models may also leave theirs out. */
export function openingTag({ name, open }: ToolFormat): string {
  return name === "llama" ? "<|python_tag|>" : open;
}

/** gpt-oss writes everything in channels. */
export function isHarmony(template: string): boolean {
  return template.includes("<|channel|>") && template.includes("<|message|>");
}
