import type { Message, Part } from "../../spec/message.ts";
import type { StreamRequest } from "../../spec/model.ts";
import type { Tool, ToolCall } from "../../spec/tool.ts";
import { toThink } from "./effort.ts";
import { toImagePart } from "./image-part.ts";
import type { ReadImage } from "../wire/read-image.ts";
import { invalidRequest } from "../wire/invalid-request.ts";
import { toFormat } from "./response-format.ts";
import type { WireInputPart, WireItem } from "./response-items.ts";
import type { ResponseRequest, WireResponseToolChoice } from "./response-request.ts";
import { toSampling } from "./sampling.ts";
import { parseArguments, toTool } from "./tool-schemas.ts";
import { CalledTools } from "../wire/called-tools.ts";
import { checkToolChoice } from "../wire/check-tool-choice.ts";

/**
 * What a response asks of a model. Says nothing where the request is silent.
 *
 * @throws MullError `invalid_argument` with the place in the body, and whatever `readImage` throws
 */
export async function responseToStreamRequest(
  body: ResponseRequest,
  readImage: ReadImage,
): Promise<StreamRequest> {
  const messages = await toMessages(body.input, readImage);
  if (body.instructions != null) messages.unshift({ role: "system", content: body.instructions });
  const tools = (body.tools ?? []).map(toTool);
  const request: StreamRequest = { messages, ...toSampling(body), ...toToolFields(tools, body.tool_choice) };
  if (body.max_output_tokens != null) request.maxTokens = body.max_output_tokens;
  const format = body.text?.format == null ? undefined : toFormat(body.text.format);
  if (format !== undefined) request.format = format;
  if (body.reasoning?.effort != null) request.think = toThink(body.reasoning.effort);
  if (body.truncation === "auto") request.overflow = "shrink";
  if (body.top_logprobs != null || body.include?.includes("message.output_text.logprobs") === true) {
    request.logprobs = body.top_logprobs ?? 0;
  }
  return request;
}

function toToolFields(
  tools: Tool[],
  choice: WireResponseToolChoice | null | undefined,
): Partial<StreamRequest> {
  const fields: Partial<StreamRequest> = tools.length === 0 ? {} : { tools };
  if (choice == null) return fields;
  const toolChoice = typeof choice === "string" ? choice : { name: choice.name };
  return { ...fields, toolChoice: checkToolChoice(toolChoice, tools) };
}

/** What an assistant does in one turn, in this order. */
const STAGES = { thought: 0, said: 1, called: 2 } as const;

/** Items are finer than messages: what an assistant thought, said and called in one turn becomes one message. */
interface Turn {
  stage: number;
  reasoning: string;
  content: string | Part[];
  toolCalls: ToolCall[];
}

async function toMessages(input: string | readonly WireItem[], readImage: ReadImage): Promise<Message[]> {
  if (typeof input === "string") return [{ role: "user", content: input }];
  const called = new CalledTools();
  const messages: (Message | Turn)[] = [];
  /** The turn that `stage` belongs to: the last one, unless it is past that. */
  const turnAt = (stage: number): Turn => {
    const last = messages.at(-1);
    if (last !== undefined && "stage" in last) {
      // One may think and call several times in a row, but says one thing.
      const goesOn = last.stage < stage || (last.stage === stage && stage !== STAGES.said);
      if (goesOn) return Object.assign(last, { stage });
    }
    const turn: Turn = { stage, reasoning: "", content: "", toolCalls: [] };
    messages.push(turn);
    return turn;
  };
  for (const [index, item] of input.entries()) {
    const where = `input[${index}]`;
    if (item.type === "reasoning") {
      turnAt(STAGES.thought).reasoning += toReasoning(item);
    } else if (item.type === "function_call") {
      const call = toToolCall(item, where);
      called.add([call]);
      turnAt(STAGES.called).toolCalls.push(call);
    } else if (item.type === "function_call_output") {
      const content = await toContent(item.output, `${where}.output`, readImage);
      messages.push({ role: "tool", content, ...called.answering(item.call_id) });
    } else {
      const content = await toContent(item.content, `${where}.content`, readImage);
      if (item.role === "assistant") turnAt(STAGES.said).content = content;
      else messages.push({ role: item.role === "user" ? "user" : "system", content });
    }
  }
  return messages.flatMap((message) => ("stage" in message ? toAssistantMessage(message) : [message]));
}

/** None for a turn of which only a reasoning item without text came back. */
function toAssistantMessage({ stage, reasoning, content, toolCalls }: Turn): Message[] {
  if (stage === STAGES.thought && reasoning === "") return [];
  const message: Message = { role: "assistant", content };
  if (toolCalls.length > 0) message.toolCalls = toolCalls;
  if (reasoning !== "") message.reasoning = reasoning;
  return [message];
}

function toReasoning({ content, summary }: Extract<WireItem, { type: "reasoning" }>): string {
  const texts = content == null || content.length === 0 ? (summary ?? []) : content;
  return texts.map(({ text }) => text).join("\n");
}

function toToolCall(item: Extract<WireItem, { type: "function_call" }>, where: string): ToolCall {
  return {
    id: item.call_id,
    name: item.name,
    arguments: parseArguments(item.arguments, `${where}.arguments`),
  };
}

async function toContent(
  wire: string | readonly WireInputPart[],
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

async function toPart(wire: WireInputPart, where: string, readImage: ReadImage): Promise<Part> {
  if (wire.type === "refusal") return { type: "text", text: wire.refusal };
  if (wire.type !== "input_image") return { type: "text", text: wire.text };
  if (wire.image_url != null) return toImagePart(wire.image_url, wire, `${where}.image_url`, readImage);
  if (wire.file_id != null) return toImagePart(wire.file_id, wire, `${where}.file_id`, readImage);
  throw invalidRequest(`${where}.image_url`, `${where} is a picture without image_url.`);
}
