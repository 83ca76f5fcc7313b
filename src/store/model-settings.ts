import { MullError } from "../spec/errors.ts";
import type { Message } from "../spec/message.ts";
import type { ModelSetup } from "./model-setup.ts";
import { MESSAGE_ROLES } from "./modelfile/modelfile.ts";
import { generationOptionsOf, loadOptionsOf, parseParametersLayer } from "./modelfile/parameters.ts";

/** Texts of the small layers of a model, as Ollama's layout has them. */
export interface SettingTexts {
  /** Go or Jinja source. */
  template?: string | undefined;
  /** Whether the template goes before the GGUF's own. Default false. */
  chosenTemplate?: boolean;
  system?: string | undefined;
  /** JSON: parameters by Ollama's names. */
  params?: string | undefined;
  /** JSON: a list of { role, content }. */
  messages?: readonly string[];
  licenses?: readonly string[];
}

export type ModelSettings = Pick<
  ModelSetup,
  "load" | "system" | "generation" | "parameters" | "messages" | "licenses" | "warnings"
>;

/**
 * What the small layers of a model set for it.
 *
 * @throws MullError `invalid_model` for messages that are none
 */
export function readSettings(texts: SettingTexts, name: string): ModelSettings {
  const { template, chosenTemplate = false, system, licenses = [] } = texts;
  const { parameters, warnings } = parseParametersLayer(texts.params ?? "{}");
  const messages = (texts.messages ?? []).flatMap((text) => readMessages(text, `${name}: its messages`));
  return {
    load: {
      ...(template === undefined ? {} : chosenTemplate ? { template } : { fallbackTemplate: template }),
      ...loadOptionsOf(parameters),
    },
    generation: generationOptionsOf(parameters),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
    ...(system === undefined ? {} : { system }),
    ...(messages.length === 0 ? {} : { messages }),
    ...(licenses.length === 0 ? {} : { licenses }),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

function readMessages(text: string, what: string): Message[] {
  const fail = (): never => {
    throw new MullError("invalid_model", `${what} are no list of { role, content }.`);
  };
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return fail();
  }
  if (!Array.isArray(list)) return fail();
  return list.map((item: unknown): Message => {
    const { role, content } = (item ?? {}) as Record<string, unknown>;
    const known = MESSAGE_ROLES.find((candidate) => candidate === role);
    return known === undefined || typeof content !== "string" ? fail() : { role: known, content };
  });
}
