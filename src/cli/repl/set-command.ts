import { MullError } from "../../spec/errors.ts";
import { PARAMETERS, parseParameter } from "../options/parameters.ts";
import { safeName } from "../terminal/safe-text.ts";
import { PARAMETERS_HELP, SET_HELP } from "./help-text.ts";
import type { SlashContext } from "./slash-context.ts";

/** `/set …` */
export async function set(rest: string, context: SlashContext): Promise<void> {
  const { session, history, preferences, say } = context;
  const [, word = "", value = ""] = /^(\S*)\s*([\s\S]*)$/.exec(rest) ?? [];
  switch (word) {
    case "parameter":
      return setNumber(value, context);
    case "system":
      if (value === "") return say("Usage:\n  /set system <text>\n");
      session.system = unquoted(value);
      return say("Set the system message.\n");
    case "history":
    case "nohistory":
      history.enabled = word === "history";
      return say(history.enabled ? "What you type is kept.\n" : "What you type is not kept any more.\n");
    case "wordwrap":
    case "nowordwrap":
      preferences.wordWrap = word === "wordwrap";
      return say(
        preferences.wordWrap ? "Lines break between words.\n" : "Lines break where the terminal ends.\n",
      );
    case "verbose":
    case "quiet":
      preferences.verbose = word === "verbose";
      return say(
        preferences.verbose ? "Times and rates are printed.\n" : "Times and rates are not printed.\n",
      );
    case "format":
      return say("There is no format to set: this version of mull answers in plain text only.\n");
    case "noformat":
    case "nothink":
      return say("That is how it is already.\n");
    case "think":
      return say("There is nothing to switch on: no model of this version of mull thinks aloud.\n");
    case "":
      return say(SET_HELP);
    default:
      return say(`Unknown command '/set ${safeName(word)}'. Type /? for help\n`);
  }
}

async function setNumber(rest: string, { session, say }: SlashContext): Promise<void> {
  const [name = "", ...values] = rest.split(/\s+/).filter((word) => word !== "");
  if (name === "") return say(PARAMETERS_HELP);
  if (name === "num_gpu") {
    return say(
      "num_gpu cannot be set: mull uses a GPU whole or not at all. MULL_DEVICE=cpu leaves it out.\n",
    );
  }
  const parameter = PARAMETERS.find((candidate) => candidate.name === name.replaceAll("-", "_"));
  if (parameter === undefined && name !== "stop") {
    throw new MullError("invalid_argument", `Unknown parameter '${safeName(name)}'.`, {
      hint: "/set parameter lists the parameters.",
    });
  }
  const [first] = values;
  if (first === undefined) return say(`Usage:\n  /set parameter ${name} <value>\n`);
  if (parameter === undefined) {
    session.generation = { ...session.generation, stop: values.map(unquoted) };
    return say(
      `Set parameter 'stop' to ${values.map((value) => `'${safeName(unquoted(value))}'`).join(", ")}.\n`,
    );
  }
  if (values.length > 1) {
    throw new MullError("invalid_argument", `${name} takes one value, not ${values.length}.`);
  }
  await session.setParameter(parameter, parseParameter(parameter, first));
  return say(`Set parameter '${parameter.name}' to '${safeName(first)}'.\n`);
}

function unquoted(text: string): string {
  return /^(["'])([\s\S]*)\1$/.exec(text)?.[2] ?? text;
}
