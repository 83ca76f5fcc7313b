import type { LanguageModelV3CallOptions, SharedV3Warning } from "@ai-sdk/provider";
import type { StreamRequest } from "../spec/model.ts";
import type { JsonSchema, Tool, ToolChoice } from "../spec/tool.ts";
import { toMessages } from "./to-messages.ts";

/** What `providerOptions.mull` of a language model may hold: what mull can do and the SDK has no setting for. */
export type MullLanguageModelOptions = Pick<
  StreamRequest,
  "think" | "overflow" | "logprobs" | "minP" | "repeatPenalty" | "repeatLastN" | "client"
>;

const MULL_OPTIONS: readonly string[] = [
  "think",
  "overflow",
  "logprobs",
  "minP",
  "repeatPenalty",
  "repeatLastN",
  "client",
] satisfies (keyof MullLanguageModelOptions)[];

/** The SDK's call as a request to a model; what mull cannot do is a warning. */
export function toRequest(options: LanguageModelV3CallOptions): {
  request: StreamRequest;
  warnings: SharedV3Warning[];
} {
  const warnings: SharedV3Warning[] = [];
  const tools = toTools(options, warnings);
  const given = {
    maxTokens: options.maxOutputTokens,
    temperature: options.temperature,
    topK: options.topK,
    topP: options.topP,
    presencePenalty: options.presencePenalty,
    frequencyPenalty: options.frequencyPenalty,
    seed: options.seed,
    stop: options.stopSequences?.length === 0 ? undefined : options.stopSequences,
    tools: tools.length === 0 ? undefined : tools,
    toolChoice: tools.length === 0 ? undefined : toToolChoice(options.toolChoice),
    format: toFormat(options.responseFormat),
    signal: options.abortSignal,
    ...readMullOptions(options.providerOptions?.["mull"], warnings),
  };
  return { request: { ...withoutUndefined(given), messages: toMessages(options.prompt) }, warnings };
}

function toTools({ tools = [] }: LanguageModelV3CallOptions, warnings: SharedV3Warning[]): Tool[] {
  return tools.flatMap((tool): Tool[] => {
    if (tool.type !== "function") {
      warnings.push({ type: "unsupported", feature: `provider-defined tool ${tool.id}` });
      return [];
    }
    const { name, description, inputSchema, inputExamples } = tool;
    if (inputExamples !== undefined && inputExamples.length > 0) {
      warnings.push({ type: "unsupported", feature: "inputExamples", details: `of the tool ${name}` });
    }
    return [{ name, ...withoutUndefined({ description }), parameters: inputSchema as JsonSchema }];
  });
}

function toToolChoice(choice: LanguageModelV3CallOptions["toolChoice"]): ToolChoice | undefined {
  return choice?.type === "tool" ? { name: choice.toolName } : choice?.type;
}

function toFormat(format: LanguageModelV3CallOptions["responseFormat"]): StreamRequest["format"] {
  return format?.type === "json" ? ((format.schema as JsonSchema | undefined) ?? "json") : undefined;
}

function readMullOptions(
  options: Readonly<Record<string, unknown>> | undefined,
  warnings: SharedV3Warning[],
): MullLanguageModelOptions {
  const known = Object.entries(options ?? {}).filter(([name]) => {
    const isKnown = MULL_OPTIONS.includes(name);
    if (!isKnown) warnings.push({ type: "other", message: `There is no option "${name}" of mull.` });
    return isKnown;
  });
  return Object.fromEntries(known);
}

/** Leaves out what is undefined, as `exactOptionalPropertyTypes` wants it. */
export function withoutUndefined<T extends object>(
  values: T,
): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
