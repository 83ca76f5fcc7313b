import { MullError } from "../../spec/errors.ts";
import { readLine } from "../ask/collect-question.ts";
import { type Attachment, DEFAULT_QUESTION, type Question } from "../ask/question.ts";
import type { CliContext } from "../cli-context.ts";
import type { RunSettings } from "../options/run-options.ts";
import { errorText } from "../report-error.ts";
import { HumanView } from "../terminal/answer-view.ts";
import { createPaint } from "../terminal/colour.ts";
import { safeName } from "../terminal/safe-text.ts";
import type { History } from "./history.ts";
import type { LineReader } from "./line-reader.ts";
import { type Entry, Multiline } from "./multiline.ts";
import type { Session } from "./session.ts";
import { isSlashCommand, runSlashCommand } from "./slash-commands.ts";
import type { Preferences } from "./slash-context.ts";

export interface Conversation {
  session: Session;
  reader: LineReader;
  history: History;
  /** Pictures given on the command line: they go with the first message. */
  attachments: readonly Attachment[];
  settings: RunSettings;
  context: CliContext;
}

const INTERRUPTED = 130;

/**
 * Reads, answers, and begins again. Nothing that a message can cause ends the loop: errors are printed, and the
 * line can be fetched back with the Up key.
 *
 * @returns the exit code
 */
export async function converse(conversation: Conversation): Promise<number> {
  const { session, reader, history, settings, context } = conversation;
  const preferences: Preferences = { verbose: settings.verbose, wordWrap: settings.wordWrap };
  const say = (text: string): void => void context.stderr.write(text);
  const paint = createPaint(context.stderr, context.env);
  const multiline = new Multiline();
  let waiting = conversation.attachments;
  /** After a Ctrl-C that had nothing to delete, the next one leaves. */
  let leaving = false;
  sayAdded(waiting, say);
  for (;;) {
    const read = await reader.read({
      prompt: multiline.open ? "... " : ">>> ",
      continuation: "... ",
      placeholder: multiline.open ? 'End the message with """' : "Send a message (/? for help)",
    });
    if (context.signal.aborted) return INTERRUPTED;
    if (read.type === "end") return 0;
    if (read.type === "interrupt") {
      const discarded = read.discarded || multiline.open;
      multiline.reset();
      if (leaving && !discarded) return INTERRUPTED;
      leaving = !discarded;
      if (leaving) say("Press Ctrl-c again, Ctrl-d or type /bye to leave.\n");
      continue;
    }
    leaving = false;
    const entry = multiline.feed(read.text);
    if (entry === undefined || entry.text.trim() === "") continue;
    history.add(entry.kind === "message" ? `"""${entry.text}"""` : entry.text);

    const turn = await carryOut(entry);
    if (turn === "leave") return 0;
    if (turn === "killed") return INTERRUPTED;
    leaving = turn === "stopped";
    if (leaving) say(`${paint("dim", "(stopped; Ctrl-c again leaves)")}\n\n`);
  }

  /** One entry, from what was typed to the end of the answer. */
  async function carryOut(entry: Entry): Promise<"stay" | "stopped" | "leave" | "killed"> {
    const view = new HumanView({ ...context, ...preferences });
    const stop = new AbortController();
    const signal = AbortSignal.any([context.signal, stop.signal]);
    // The second Ctrl-C does not wait for an engine that does not stop.
    let kill = (): void => {};
    const killed = new Promise<"killed">((resolve) => {
      kill = () => resolve("killed");
    });
    reader.onInterrupt = () => (stop.signal.aborted ? kill() : stop.abort());
    context.signal.addEventListener("abort", kill);
    const work = async (): Promise<"stay" | "leave"> => {
      if (entry.kind === "line" && isSlashCommand(entry.text)) {
        const { env } = context;
        return runSlashCommand(entry.text, { session, history, preferences, env, view, signal, say });
      }
      const question = await readQuestion(entry, waiting);
      sayAdded(question.attachments.slice(waiting.length), say);
      // Sent or refused, they have had their turn: a picture that cannot be used must not spoil the next one too.
      waiting = [];
      await session.ask(question, view, signal);
      if (!stop.signal.aborted) say("\n");
      return "stay";
    };
    try {
      return await Promise.race([work(), killed]).then((outcome) =>
        outcome === "stay" && stop.signal.aborted ? "stopped" : outcome,
      );
    } catch (error) {
      view.end();
      if (stop.signal.aborted) return "stopped";
      say(errorText(MullError.wrap(error), paint));
      return "stay";
    } finally {
      reader.onInterrupt = undefined;
      context.signal.removeEventListener("abort", kill);
    }
  }
}

async function readQuestion(entry: Entry, waiting: readonly Attachment[]): Promise<Question> {
  const { text, attachments } = await readLine(entry.text);
  return { text: text === "" ? DEFAULT_QUESTION : text, attachments: [...waiting, ...attachments] };
}

function sayAdded(attachments: readonly Attachment[], say: (text: string) => void): void {
  for (const { name } of attachments) say(`Added image '${safeName(name)}'\n`);
}
