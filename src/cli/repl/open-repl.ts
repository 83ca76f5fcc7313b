import type { Model } from "../../spec/model.ts";
import { openFiles } from "../ask/collect-question.ts";
import type { ModelChoice } from "../ask/model-reference.ts";
import type { CliContext } from "../cli-context.ts";
import type { RunSettings } from "../options/run-options.ts";
import type { AnswerView } from "../terminal/answer-view.ts";
import { canMoveCursor, createPaint } from "../terminal/colour.ts";
import { createCompleter } from "./completion.ts";
import { converse } from "./converse.ts";
import { editExternally } from "./external-editor.ts";
import { History, historyPath } from "./history.ts";
import { LineEditor } from "./line-editor.ts";
import type { LineReader } from "./line-reader.ts";
import { PlainLineReader } from "./plain-line-reader.ts";
import { Session } from "./session.ts";
import { COMPLETIONS } from "./slash-commands.ts";

/**
 * `mull run` without a prompt, at a terminal: a conversation, until the user leaves.
 *
 * @returns the exit code
 */
export async function openRepl(
  loading: Promise<Model>,
  choice: ModelChoice,
  settings: RunSettings,
  view: AnswerView,
  context: CliContext,
): Promise<number> {
  // A mistyped `-f` is reported before a long load, not after it.
  const attachments = await openFiles(settings.files);
  const model = await loading;
  view.end();
  const { model: _, ...load } = settings.load;
  const session = new Session({
    choice,
    model,
    load,
    generation: settings.generation,
    system: settings.system,
    loadModel: context.load,
    env: context.env,
  });
  const history = new History(historyPath(context.env));
  const reader = openReader(context, history);
  const close = (): void => reader.close();
  context.signal.addEventListener("abort", close);
  try {
    return await converse({ session, reader, history, attachments, settings, context });
  } finally {
    context.signal.removeEventListener("abort", close);
    reader.close();
    await session.close();
  }
}

function openReader({ stdin, stdout, stderr, env }: CliContext, history: History): LineReader {
  // With the answers going to a file, the conversation stays on the terminal.
  const output = stdout.isTTY === true ? stdout : stderr;
  if (!canMoveCursor(output, env)) return new PlainLineReader({ input: stdin, output, history });
  return new LineEditor({
    input: stdin,
    output,
    paint: createPaint(output, env),
    history,
    complete: createCompleter(COMPLETIONS),
    openEditor: (text) => editExternally(text, env),
  });
}
