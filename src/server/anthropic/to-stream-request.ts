import type { ImagePart, MediaSource, Message, Part } from "../../spec/message.ts";
import type { StreamRequest } from "../../spec/model.ts";
import type { GenerationOptions } from "../../spec/options.ts";
import type { ToolCall, ToolChoice } from "../../spec/tool.ts";
import { CalledTools } from "../wire/called-tools.ts";
import { checkToolChoice } from "../wire/check-tool-choice.ts";
import { invalidRequest } from "../wire/invalid-request.ts";
import type { ReadImage } from "../wire/read-image.ts";
import type { WireImage } from "../wire/wire-schemas.ts";
import type { WireBlock, WireImageBlock, WireMessage, WireTextBlock } from "./message-blocks.ts";
import type { CountTokensRequest, MessageRequest, WireToolChoice } from "./message-request.ts";

/** What Anthropic's clients expect where a request, and the model it asks for, are silent. */
export const ANTHROPIC_DEFAULTS: GenerationOptions = { temperature: 1, topP: 1, topK: 0, minP: 0 };

/**
 * What a message asks of a model. Says nothing where the request is silent.
 *
 * @throws MullError `invalid_argument` with the place in the body, and whatever `readImage` throws
 */
export async function toStreamRequest(
  body: CountTokensRequest | MessageRequest,
  readImage: ReadImage,
): Promise<StreamRequest> {
  const messages = await toMessages(body.messages, readImage);
  if (body.system != null) messages.unshift({ role: "system", content: toText(body.system) });
  const tools = (body.tools ?? []).map(({ name, description, input_schema: parameters }) => ({
    name,
    parameters,
    ...(description == null ? {} : { description }),
  }));
  const request: StreamRequest = { messages, think: toThink(body) };
  if (tools.length > 0) request.tools = tools;
  if (body.tool_choice != null) {
    request.toolChoice = checkToolChoice(toToolChoice(body.tool_choice), tools);
  }
  if (body.output_config?.format != null) request.format = body.output_config.format.schema;
  return "max_tokens" in body ? { ...request, ...toSampling(body) } : request;
}

function toSampling(body: MessageRequest): GenerationOptions {
  const options: GenerationOptions = { maxTokens: body.max_tokens };
  if (body.temperature != null) options.temperature = body.temperature;
  // mull keeps at least one token in any case; the wire writes that as 0.
  if (body.top_p != null) options.topP = Math.max(body.top_p, 1e-6);
  if (body.top_k != null) options.topK = body.top_k;
  const stop = (body.stop_sequences ?? []).filter((text) => text !== "");
  if (stop.length > 0) options.stop = stop;
  return options;
}

function toThink({
  thinking,
  output_config: config,
}: CountTokensRequest): NonNullable<StreamRequest["think"]> {
  if (thinking == null || thinking.type === "disabled") return false;
  if (config?.effort == null) return true;
  return config.effort === "xhigh" ? "max" : config.effort;
}

function toToolChoice(choice: WireToolChoice): ToolChoice {
  if (choice.type === "tool") return { name: choice.name };
  return choice.type === "any" ? "required" : choice.type;
}

async function toMessages(wire: readonly WireMessage[], readImage: ReadImage): Promise<Message[]> {
  const last = wire.length - 1;
  if (wire[last]!.role === "assistant") {
    throw invalidRequest(
      `messages[${last}].role`,
      "The last message is the assistant's: this server does not continue it.",
      "End with a message of role user.",
    );
  }
  const called = new CalledTools();
  const messages: Message[] = [];
  for (const [index, { role, content }] of wire.entries()) {
    const where = `messages[${index}].content`;
    if (typeof content === "string") messages.push({ role, content });
    else if (role === "assistant") messages.push(await toAssistantMessage(content, where, called, readImage));
    else messages.push(...(await toUserMessages(role, content, where, called, readImage)));
  }
  return messages;
}

async function toAssistantMessage(
  blocks: readonly WireBlock[],
  where: string,
  called: CalledTools,
  readImage: ReadImage,
): Promise<Message> {
  const content: Part[] = [];
  const toolCalls: ToolCall[] = [];
  let reasoning = "";
  for (const [index, block] of blocks.entries()) {
    const place = `${where}[${index}]`;
    if (block.type === "tool_use") {
      toolCalls.push({ id: block.id, name: block.name, arguments: block.input });
    } else if (block.type === "thinking") reasoning += block.thinking;
    else if (block.type === "tool_result") {
      throw invalidRequest(place, `${place} is a tool_result in a message of the assistant.`);
    } else if (block.type !== "redacted_thinking") content.push(await toPart(block, place, readImage));
  }
  called.add(toolCalls);
  const message: Message = { role: "assistant", content };
  if (toolCalls.length > 0) message.toolCalls = toolCalls;
  if (reasoning !== "") message.reasoning = reasoning;
  return message;
}

/** The answers of tools become messages of their own, in their order among the rest. */
async function toUserMessages(
  role: "user" | "system",
  blocks: readonly WireBlock[],
  where: string,
  called: CalledTools,
  readImage: ReadImage,
): Promise<Message[]> {
  const messages: Message[] = [];
  let parts: Part[] = [];
  for (const [index, block] of blocks.entries()) {
    const place = `${where}[${index}]`;
    if (block.type === "text" || block.type === "image") {
      if (parts.length === 0) messages.push({ role, content: parts });
      parts.push(await toPart(block, place, readImage));
    } else if (block.type === "tool_result") {
      const content = await toResult(block.content ?? "", `${place}.content`, readImage);
      messages.push({ role: "tool", content, ...called.answering(block.tool_use_id) });
      parts = [];
    } else {
      throw invalidRequest(place, `${place} is a ${block.type} in a message of role ${role}.`);
    }
  }
  return messages;
}

async function toResult(
  content: string | readonly (WireTextBlock | WireImageBlock)[],
  where: string,
  readImage: ReadImage,
): Promise<string | Part[]> {
  if (typeof content === "string") return content;
  const parts: Part[] = [];
  for (const [index, block] of content.entries()) {
    parts.push(await toPart(block, `${where}[${index}]`, readImage));
  }
  return parts;
}

async function toPart(
  block: WireTextBlock | WireImageBlock,
  where: string,
  readImage: ReadImage,
): Promise<Part> {
  return block.type === "text" ? { type: "text", text: block.text } : toImagePart(block, where, readImage);
}

async function toImagePart(
  { source }: WireImageBlock,
  where: string,
  readImage: ReadImage,
): Promise<ImagePart> {
  const read = (image: WireImage, key: string): Promise<MediaSource> =>
    readImage(image, `${where}.source.${key}`);
  if (source.type === "base64") return { type: "image", image: await read(source.data, "data") };
  if (source.type === "url") return { type: "image", image: await read(source.url, "url") };
  return { type: "image", image: await read(source.file_id, "file_id") };
}

function toText(system: string | readonly WireTextBlock[]): string {
  return typeof system === "string" ? system : system.map(({ text }) => text).join("\n\n");
}
