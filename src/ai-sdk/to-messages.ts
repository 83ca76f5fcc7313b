import type {
  LanguageModelV3Message,
  LanguageModelV3Prompt,
  LanguageModelV3ToolResultOutput,
  LanguageModelV3ToolResultPart,
} from "@ai-sdk/provider";
import { MullError } from "../spec/errors.ts";
import type { Message, Part } from "../spec/message.ts";
import type { ToolCall } from "../spec/tool.ts";
import { fileImage } from "./file-image.ts";

type AssistantPart = Extract<LanguageModelV3Message, { role: "assistant" }>["content"][number];
type OutputItem = Extract<LanguageModelV3ToolResultOutput, { type: "content" }>["value"][number];

/**
 * The SDK's prompt as mull's messages. Each tool result is a message of its own.
 *
 * @throws MullError of the first file that is no picture, or not here
 */
export function toMessages(prompt: LanguageModelV3Prompt): Message[] {
  return prompt.flatMap((message): Message[] => {
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }];
      case "user":
        return [
          {
            role: "user",
            content: message.content.map((part) =>
              part.type === "text" ? text(part.text) : fileImage(part),
            ),
          },
        ];
      case "assistant":
        return assistantTurns(message.content);
      default:
        // Approvals are the SDK's own business: mull runs no tools.
        return message.content.flatMap((part) => (part.type === "tool-result" ? [toolMessage(part)] : []));
    }
  });
}

/** One turn, or more when another provider ran tools in the middle of it. */
function assistantTurns(content: readonly AssistantPart[]): Message[] {
  const messages: Message[] = [];
  let parts: Part[] = [];
  let calls: ToolCall[] = [];
  let reasoning = "";
  const endTurn = (): void => {
    if (parts.length + calls.length > 0 || reasoning !== "") {
      messages.push({
        role: "assistant",
        content: compact(parts),
        ...(calls.length === 0 ? {} : { toolCalls: calls }),
        ...(reasoning === "" ? {} : { reasoning }),
      });
    }
    parts = [];
    calls = [];
    reasoning = "";
  };
  for (const part of content) {
    switch (part.type) {
      case "text":
        parts.push(text(part.text));
        break;
      case "file":
        parts.push(fileImage(part));
        break;
      case "reasoning":
        reasoning += part.text;
        break;
      case "tool-call":
        calls.push({ id: part.toolCallId, name: part.toolName, arguments: toolArguments(part.input) });
        break;
      case "tool-result":
        endTurn();
        messages.push(toolMessage(part));
    }
  }
  endTurn();
  return messages;
}

/** A call that another model wrote need not be an object; what it was is kept. */
function toolArguments(input: unknown): ToolCall["arguments"] {
  let value = input;
  if (typeof input === "string") {
    try {
      value = JSON.parse(input);
    } catch {
      // Not JSON: kept as the text that it is.
    }
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? (value as ToolCall["arguments"]) : { input: value };
}

function toolMessage({ toolCallId, toolName, output }: LanguageModelV3ToolResultPart): Message {
  return { role: "tool", toolCallId, toolName, content: toolOutput(output) };
}

function toolOutput(output: LanguageModelV3ToolResultOutput): Message["content"] {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value);
    case "execution-denied":
      return output.reason ?? "The user did not allow this tool to run.";
    default:
      return compact(output.value.map(outputPart));
  }
}

function outputPart(item: OutputItem): Part {
  switch (item.type) {
    case "text":
      return text(item.text);
    case "file-data":
    case "image-data":
      return fileImage(item);
    case "file-url":
    case "image-url":
      return fileImage({ ...item, data: new URL(item.url), mediaType: "image/*" });
    default:
      throw new MullError("unsupported_modality", `A tool's result has a part of type "${item.type}".`, {
        hint: "Return text, JSON, or pictures as data.",
      });
  }
}

function text(value: string): Part {
  return { type: "text", text: value };
}

/** Parts that are all text, as one text. */
function compact(parts: readonly Part[]): Message["content"] {
  if (parts.some(({ type }) => type !== "text")) return parts;
  return parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}
