import { MullError } from "../../spec/errors.ts";
import type { Message } from "../../spec/message.ts";
import type { Model } from "../../spec/model.ts";
import type { StreamPart } from "../../spec/stream.ts";
import type { CliContext } from "../cli-context.ts";
import type { RunSettings } from "../options/run-options.ts";
import type { AnswerView } from "../terminal/answer-view.ts";
import { safeName } from "../terminal/safe-text.ts";
import { collectQuestion } from "./collect-question.ts";
import type { ModelChoice } from "./model-reference.ts";
import { DEFAULT_QUESTION, type Question, userMessage } from "./question.ts";

type FinishPart = Extract<StreamPart, { type: "finish" }>;

/**
 * One question, one answer. The question is put together while the model loads.
 *
 * @param loading the model, on its way
 * @throws MullError of loading, of the question, or of the answer, whichever comes first
 */
export async function askOnce(
  loading: Promise<Model>,
  choice: ModelChoice,
  settings: RunSettings,
  view: AnswerView,
  context: CliContext,
): Promise<void> {
  const { stdin, stderr, signal } = context;
  const started = performance.now();
  const collecting = collectQuestion(choice.words, settings.files, stdin, stderr);
  const [question, [model, loadMs]] = await Promise.all([
    collecting.then((found) => checkQuestion(found, context)),
    loading.then((loaded) => [loaded, performance.now() - started] as const),
  ]);
  const system = settings.system ?? choice.saved?.system;
  const messages: Message[] = [
    ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
    ...(choice.saved?.messages ?? []),
    userMessage(question),
  ];
  const generation = { ...choice.saved?.generation, ...settings.generation };
  try {
    for await (const part of model.stream({ ...generation, messages, signal })) {
      view.show(part.type === "finish" ? addLoadTime(part, loadMs) : part);
    }
  } finally {
    view.end();
  }
}

/** The stream finds its model loaded; the user waited for that too. */
function addLoadTime(part: FinishPart, loadMs: number): FinishPart {
  const { timings } = part;
  return {
    ...part,
    timings: { ...timings, loadMs: timings.loadMs + loadMs, totalMs: timings.totalMs + loadMs },
  };
}

function checkQuestion(question: Question, { stderr }: CliContext): Question {
  for (const { name } of question.attachments) stderr.write(`Added image '${safeName(name)}'\n`);
  if (question.text !== "") return question;
  if (question.attachments.length === 0) {
    throw new MullError("invalid_argument", "There is nothing to ask: no prompt, and stdin is empty.", {
      hint: `For example: mull run pico "${DEFAULT_QUESTION}" ./x.png`,
    });
  }
  stderr.write(`No question given; asking "${DEFAULT_QUESTION}"\n`);
  return { ...question, text: DEFAULT_QUESTION };
}
