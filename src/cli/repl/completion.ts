import { readdirSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { isPicturePath } from "../ask/model-reference.ts";
import { safeName } from "../terminal/safe-text.ts";

export interface Completion {
  /** What to put in at the cursor; "" when nothing is certain. */
  insert: string;
  /** What it could become, when there is more than one way. */
  choices: readonly string[];
}

/** What the Tab key does, given the text before the cursor. */
export type Completer = (before: string) => Completion;

const NOTHING: Completion = { insert: "", choices: [] };
/** The last word: blanks in it are escaped by "\". */
const LAST_WORD = /(?:\\.|[^\s\\"'])*$/;

/**
 * Completes slash commands and paths of pictures.
 *
 * @param commands whole command lines, such as "/show info"
 */
export function createCompleter(commands: readonly string[]): Completer {
  return (before) => {
    const matching = commands.filter((command) => command.startsWith(before));
    if (before.startsWith("/") && matching.length > 0) {
      return choose(
        before,
        matching.map((command) => ({ shown: command, text: `${command} ` })),
      );
    }
    const word = (LAST_WORD.exec(before)?.[0] ?? "").replaceAll(/\\(.)/g, "$1");
    return word === "" ? NOTHING : completePath(word);
  };
}

function completePath(word: string): Completion {
  const home = word === "~" || word.startsWith("~/");
  const start = word.endsWith("/") ? "" : basename(word);
  const parent = word.endsWith("/") ? word : dirname(word);
  const folder = home ? join(homedir(), parent.slice(1)) : parent;
  const found = list(folder)
    .filter(({ name }) => name.startsWith(start) && (start !== "" || !name.startsWith(".")))
    .filter(({ name, isFolder }) => isFolder || isPicturePath(name))
    .map(({ name, isFolder }) => ({ shown: safeName(name), text: name + (isFolder ? "/" : " ") }));
  const { insert, choices } = choose(start, found);
  // A blank inside a name is escaped; the one after a finished name is not.
  const finished = insert.endsWith(" ") && found.length === 1;
  const body = finished ? insert.slice(0, -1) : insert;
  return { insert: body.replaceAll(/([\s\\"'()])/g, "\\$1") + (finished ? " " : ""), choices };
}

function list(folder: string): { name: string; isFolder: boolean }[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}

/** One way: take it. Several: go as far as they agree, and name them when that is no step forward. */
function choose(start: string, found: readonly { shown: string; text: string }[]): Completion {
  const [first] = found;
  if (first === undefined) return NOTHING;
  let common = first.text;
  for (const { text } of found) {
    while (!text.startsWith(common)) common = common.slice(0, -1);
  }
  const insert = found.length === 1 ? first.text.slice(start.length) : common.trimEnd().slice(start.length);
  return { insert, choices: insert === "" ? found.map(({ shown }) => shown) : [] };
}
