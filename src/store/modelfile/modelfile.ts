import { textOf } from "../../chat/text-of.ts";
import type { Message } from "../../spec/message.ts";
import type { Parameters } from "./parameters.ts";

export const MESSAGE_ROLES = ["system", "user", "assistant"] as const;

export interface ModelfileMessage {
  readonly role: (typeof MESSAGE_ROLES)[number];
  readonly content: string;
}

/** What a Modelfile says: a model, and what to make of it. Paths and names are as they were written. */
export interface Modelfile {
  /** A name, an address, a GGUF file, a folder of safetensors. Several are paths of files: a model and its projector. */
  readonly from: readonly [string, ...string[]];
  /** Ours: the file with encoder and projector. */
  readonly projector?: string;
  readonly adapters: readonly string[];
  /** Go template, Jinja source, or the name of a built-in one. */
  readonly template?: string;
  readonly system?: string;
  /** `stop`, if there, has at least one text. */
  readonly parameters: Parameters;
  /** A conversation that comes before every one. */
  readonly messages: readonly ModelfileMessage[];
  readonly licenses: readonly string[];
  /** Least version of Ollama, such as `0.14.0`. */
  readonly requires?: string;
  /** For models that Ollama runs with code of its own: kept, and without effect here. */
  readonly draft?: string;
  readonly renderer?: string;
  readonly parser?: string;
}

/** A model's parts to a Modelfile that makes the same of it: for `show --modelfile`. Empty texts are left out. */
export function modelfileOf(
  from: string | readonly [string, ...string[]],
  parts: Partial<Omit<Modelfile, "from">> = {},
): Modelfile {
  const { adapters = [], parameters = {}, messages = [], licenses = [], ...texts } = parts;
  const said = Object.fromEntries(
    Object.entries(texts).filter(([, text]) => text !== undefined && text !== ""),
  );
  return {
    from: typeof from === "string" ? [from] : from,
    ...said,
    adapters,
    parameters,
    messages,
    licenses,
  };
}

/** What of a conversation a Modelfile can say: texts, of the roles that it knows. */
export function modelfileMessages(messages: readonly Message[]): ModelfileMessage[] {
  return messages.flatMap((message) =>
    MESSAGE_ROLES.filter((role) => role === message.role).map((role) => ({
      role,
      content: textOf(message),
    })),
  );
}
