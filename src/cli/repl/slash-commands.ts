import { MullError } from "../../spec/errors.ts";
import { listModels } from "../../store/list-models.ts";
import { formatModelName } from "../../store/model-name.ts";
import { listSavedModels } from "../../store/saved-model.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import { chooseModel, DEFAULT_MODEL } from "../ask/model-reference.ts";
import { safeName } from "../terminal/safe-text.ts";
import { HELP, PICTURE_HELP, SET_HELP, SHORTCUTS_HELP, SHOW_HELP } from "./help-text.ts";
import { set } from "./set-command.ts";
import { show } from "./show-command.ts";
import type { SlashContext } from "./slash-context.ts";

type SlashCommand = (rest: string, context: SlashContext) => Promise<"stay" | "leave">;

const COMMANDS: Record<string, SlashCommand> = {
  "/set": async (rest, context) => stay(await set(rest, context)),
  "/show": async (rest, context) => stay(await show(rest, context)),
  "/load": load,
  "/save": save,
  "/clear": async (_, { session, say }) => {
    session.clear();
    return stay(say("Forgot what was said.\n"));
  },
  "/bye": async () => "leave",
  "/exit": async () => "leave",
  "/?": help,
  "/help": help,
  "/list": async (_, { env, say }) => {
    const { models } = await listModels(defaultStoreRoot(env));
    const names = [
      DEFAULT_MODEL,
      ...(await listSavedModels(env)),
      ...models.map(({ name }) => formatModelName(name)),
    ];
    return stay(say(names.map((name) => `${safeName(name)}\n`).join("")));
  },
};

const SUBCOMMANDS: Record<string, readonly string[]> = {
  "/set": ["parameter", "system", "history", "nohistory", "wordwrap", "nowordwrap", "verbose", "quiet"],
  "/show": ["info", "license", "modelfile", "parameters", "system", "template"],
  "/?": ["shortcuts"],
};

/** For the Tab key: every command, with what can follow it. `/list` is for those who know it. */
export const COMPLETIONS: readonly string[] = Object.keys(COMMANDS)
  .filter((name) => name !== "/list")
  .flatMap((name) => SUBCOMMANDS[name]?.map((word) => `${name} ${word}`) ?? [name]);

/** Whether a line is a command, or a message that begins with a path, such as `/tmp/x.png what is this?`. */
export function isSlashCommand(line: string): boolean {
  const word = firstWord(line);
  if (!word.startsWith("/")) return false;
  return COMMANDS[word.toLowerCase()] !== undefined || !/^\/.*[/.\\]/.test(word);
}

/** @throws MullError for a command that cannot be carried out; the session goes on as before */
export async function runSlashCommand(line: string, context: SlashContext): Promise<"stay" | "leave"> {
  const word = firstWord(line);
  const command = COMMANDS[word.toLowerCase()];
  if (command !== undefined) return command(line.slice(word.length).trim(), context);
  return stay(context.say(`Unknown command '${safeName(word)}'. Type /? for help\n`));
}

async function load(rest: string, { session, env, view, signal, say }: SlashContext): Promise<"stay"> {
  if (rest === "") return stay(say("Usage:\n  /load <model>\n"));
  const choice = await chooseModel([rest], undefined, env);
  if (choice.words.length > 0) {
    throw new MullError("model_not_found", `'${safeName(rest)}' is no model's name.`, {
      hint: "/list shows the models that are here; a path to a .gguf file works too.",
    });
  }
  await session.switchTo(choice, view, signal);
  const turns = session.messages.length / 2;
  return stay(
    say(`Loaded '${choice.name}'${turns >= 1 ? `, with ${Math.floor(turns)} earlier turn(s)` : ""}.\n`),
  );
}

async function save(rest: string, { session, say }: SlashContext): Promise<"stay"> {
  if (rest === "") return stay(say("Usage:\n  /save <name>\n"));
  await session.save(rest);
  return stay(say(`Created new model '${rest}'. Run it with: mull run ${rest}\n`));
}

async function help(rest: string, { session, view, signal, say }: SlashContext): Promise<"stay"> {
  const topic = rest.replace(/^\//, "").toLowerCase();
  if (topic === "set") return stay(say(SET_HELP));
  if (topic === "show") return stay(say(SHOW_HELP));
  if (topic === "shortcuts") return stay(say(SHORTCUTS_HELP));
  const { info } = await session.model(view, signal);
  return stay(say(info.input.includes("image") ? `${HELP}${PICTURE_HELP}` : HELP));
}

function firstWord(line: string): string {
  return /^\s*(\S*)/.exec(line)?.[1] ?? "";
}

/** The outcome of a command that only says or changes something. */
function stay(_said: void): "stay" {
  return "stay";
}
