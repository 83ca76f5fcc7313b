import type { Message, Part } from "../../spec/message.ts";
import type { StreamRequest } from "../../spec/model.ts";
import type { Tool, ToolCall } from "../../spec/tool.ts";
import type { WireMessage, WirePart, WireToolCall } from "./chat-messages.ts";
import type { ChatRequest, WireToolChoice } from "./chat-request.ts";
import { toThink } from "./effort.ts";
import { toImagePart } from "./image-part.ts";
import type { ReadImage } from "../wire/read-image.ts";
import { invalidRequest } from "../wire/invalid-request.ts";
import { toFormat } from "./response-format.ts";
import { toSampling } from "./sampling.ts";
import { parseArguments, toTool } from "./tool-schemas.ts";
import { CalledTools } from "../wire/called-tools.ts";
import { checkToolChoice } from "../wire/check-tool-choice.ts";

/**
 * What a chat completion asks of a model. Says nothing where the request is silent.
 *
 * @throws MullError `invalid_argument` with the place in the body, and whatever `readImage` throws
 */
export async function toStreamRequest(body: ChatRequest, readImage: ReadImage): Promise<StreamRequest> {
  const tools = (body.tools ?? []).map((tool) => toTool(tool.function));
  const request: StreamRequest = {
    messages: await toMessages(body.messages, readImage),
    ...toSampling(body),
    ...toToolFields(tools, body.tool_choice),
  };
  const maxTokens = body.max_completion_tokens ?? body.max_tokens;
  if (maxTokens != null) request.maxTokens = maxTokens;
  const format = body.response_format == null ? undefined : toFormat(body.response_format);
  if (format !== undefined) request.format = format;
  if (body.reasoning_effort != null) request.think = toThink(body.reasoning_effort);
  if (body.overflow != null) request.overflow = body.overflow;
  const logprobs = toLogprobs(body);
  if (logprobs !== undefined) request.logprobs = logprobs;
  return request;
}

function toToolFields(tools: Tool[], choice: WireToolChoice | null | undefined): Partial<StreamRequest> {
  const fields: Partial<StreamRequest> = tools.length === 0 ? {} : { tools };
  if (choice == null) return fields;
  const toolChoice = typeof choice === "string" ? choice : { name: choice.function.name };
  return { ...fields, toolChoice: checkToolChoice(toolChoice, tools) };
}

function toLogprobs({ logprobs, top_logprobs: top }: ChatRequest): number | undefined {
  if (logprobs === true) return top ?? 0;
  if (top == null || top === 0) return undefined;
  throw invalidRequest("top_logprobs", "top_logprobs is given without logprobs.", "Set logprobs to true.");
}

async function toMessages(wire: readonly WireMessage[], readImage: ReadImage): Promise<Message[]> {
  const called = new CalledTools();
  const messages: Message[] = [];
  for (const [index, message] of wire.entries()) {
    messages.push(await toMessage(message, `messages[${index}]`, called, readImage));
  }
  return messages;
}

async function toMessage(
  wire: WireMessage,
  where: string,
  called: CalledTools,
  readImage: ReadImage,
): Promise<Message> {
  const content = await toContent(wire.content ?? "", `${where}.content`, readImage);
  if (wire.role === "tool") return { role: "tool", content, ...called.answering(wire.tool_call_id) };
  if (wire.role !== "assistant") return { role: wire.role === "user" ? "user" : "system", content };
  const toolCalls = (wire.tool_calls ?? []).map((call, at) => toToolCall(call, `${where}.tool_calls[${at}]`));
  called.add(toolCalls);
  const reasoning = wire.reasoning_content ?? wire.reasoning;
  return {
    role: "assistant",
    content: wire.content == null && wire.refusal != null ? wire.refusal : content,
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
    ...(reasoning == null ? {} : { reasoning }),
  };
}

async function toContent(
  wire: string | readonly WirePart[],
  where: string,
  readImage: ReadImage,
): Promise<string | Part[]> {
  if (typeof wire === "string") return wire;
  const parts: Part[] = [];
  for (const [index, part] of wire.entries()) {
    parts.push(await toPart(part, `${where}[${index}]`, readImage));
  }
  return parts;
}

async function toPart(wire: WirePart, where: string, readImage: ReadImage): Promise<Part> {
  if (wire.type === "text") return { type: "text", text: wire.text };
  if (wire.type === "refusal") return { type: "text", text: wire.refusal };
  const image = wire.image_url;
  return typeof image === "string" || image instanceof Uint8Array
    ? toImagePart(image, {}, `${where}.image_url`, readImage)
    : toImagePart(image.url, image, `${where}.image_url.url`, readImage);
}

function toToolCall({ id, function: { name, arguments: args } }: WireToolCall, where: string): ToolCall {
  const parsed = typeof args === "string" ? parseArguments(args, `${where}.function.arguments`) : args;
  return { id, name, arguments: parsed };
}
