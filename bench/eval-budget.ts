import { parseArgs } from "node:util";
import { type Model, type StreamPart, load } from "mull";
import { REDUCTION_METHODS, type ReductionMethod, reduceRows } from "../src/encoders/reduce-rows.ts";
import { type Question, isRight, readPicture, readQuestions } from "./eval-questions.ts";
import { RandomSource } from "./random.ts";

const USAGE = `Asks pico the held-out questions with fewer and fewer rows for the picture, by every method.

  npm run eval:budget [-- --all] [--method "similarity merge"]

--all asks all 600 questions instead of 30 of each task. Prints, for each method and budget: how many answers are word
for word those with all rows, how many are right, in all and by task, and the medians of prompt tokens and prefill time;
then how long a reduction takes in the shape of LLaVA 1.5 7B.`;

/** Of pico's 64 rows, which are 8 x 8. */
const BUDGETS = [48, 36, 16, 9, 4];
const NATIVE_ROWS = 64;
const QUESTIONS_PER_TASK = 30;

interface Asked {
  question: Question;
  answer: string;
  promptTokens: number;
  prefillMs: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      all: { type: "boolean", default: false },
      method: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const questions = values.all ? readQuestions() : sample(readQuestions());
  const methods = REDUCTION_METHODS.filter((method) => method === (values.method ?? method));
  console.log(`${questions.length} questions to pico, greedy\n`);
  console.log(heading(questions));
  let full: readonly Asked[] = [];
  for (const method of methods) {
    // The engine process inherits it.
    process.env["MULL_IMAGE_REDUCTION"] = method;
    // Nothing is kept on disk: prefill is what is measured.
    const model = await load({ model: "pico", diskCache: false, device: "cpu" });
    try {
      if (full.length === 0) {
        await askAll(model, questions.slice(0, 20), NATIVE_ROWS); // warms up
        full = await askAll(model, questions, NATIVE_ROWS);
        console.log(line("all rows", NATIVE_ROWS, full, full));
      }
      for (const budget of BUDGETS) {
        console.log(line(method, budget, await askAll(model, questions, budget), full));
      }
    } finally {
      await model.close();
    }
  }
  printSpeed(methods);
}

/** The same questions every time, spread evenly over each task's. */
function sample(questions: readonly Question[]): Question[] {
  return tasksOf(questions).flatMap((task) => {
    const of = questions.filter((question) => question.task === task);
    const count = Math.min(QUESTIONS_PER_TASK, of.length);
    return Array.from(
      { length: count },
      (_, index) => of[Math.floor((index * of.length) / count)] as Question,
    );
  });
}

async function askAll(model: Model, questions: readonly Question[], maxTokens: number): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (const question of questions) asked.push(await ask(model, question, maxTokens));
  return asked;
}

async function ask(model: Model, question: Question, maxTokens: number): Promise<Asked> {
  const content = [
    { type: "image" as const, image: readPicture(question), maxTokens },
    { type: "text" as const, text: question.question },
  ];
  let answer = "";
  let finish: (StreamPart & { type: "finish" }) | undefined;
  for await (const part of model.stream({
    messages: [{ role: "user", content }],
    temperature: 0,
    maxTokens: 60,
  })) {
    if (part.type === "text-delta") answer += part.delta;
    if (part.type === "finish") finish = part;
    if (part.type === "media" && (part.receipt.tokens ?? Infinity) > maxTokens) {
      throw new Error(`${question.id}: ${part.receipt.tokens} rows of at most ${maxTokens}.`);
    }
  }
  if (finish === undefined) throw new Error(`${question.id}: no answer.`);
  const { usage, timings } = finish;
  return {
    question,
    answer: answer.trim(),
    promptTokens: usage.inputTokens.total,
    prefillMs: timings.prefillMs,
  };
}

const FIRST_COLUMN = 18;

function heading(questions: readonly Question[]): string {
  const columns = ["rows", "same", "right", ...tasksOf(questions), "prompt", "prefill"];
  return "method".padEnd(FIRST_COLUMN) + columns.map((name) => name.padStart(9)).join("");
}

function line(name: string, rows: number, asked: readonly Asked[], full: readonly Asked[]): string {
  const same = asked.filter(({ answer }, index) => answer === full[index]?.answer).length;
  const rightOf = (some: readonly Asked[]): string =>
    percent(some.filter(({ question, answer }) => isRight(question, answer)).length, some.length);
  const columns = [
    String(rows),
    percent(same, asked.length),
    rightOf(asked),
    ...tasksOf(asked.map(({ question }) => question)).map((task) =>
      rightOf(asked.filter(({ question }) => question.task === task)),
    ),
    String(median(asked.map(({ promptTokens }) => promptTokens))),
    `${median(asked.map(({ prefillMs }) => prefillMs)).toFixed(1)} ms`,
  ];
  return name.padEnd(FIRST_COLUMN) + columns.map((column) => column.padStart(9)).join("");
}

function tasksOf(questions: readonly Question[]): string[] {
  return [...new Set(questions.map(({ task }) => task))];
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)} %`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** Rows of LLaVA 1.5 7B, random: how alike rows are changes little about how long it takes. */
function printSpeed(methods: readonly ReductionMethod[]): void {
  const [side, width] = [24, 4096];
  const words = new Uint32Array(side * side * width);
  new RandomSource(1).writeInto(words);
  const rows = Float32Array.from(words, (word) => word / 2 ** 32 - 0.5); // (side * side, width) float32
  console.log(`\nreducing ${side * side} rows of ${width}, median of 9`);
  for (const method of methods) {
    for (const target of [324, 144, 36]) {
      const times = Array.from({ length: 9 }, () => {
        const started = performance.now();
        reduceRows(rows, { width, grid: { rows: side, columns: side }, target, method });
        return performance.now() - started;
      });
      console.log(`${method.padEnd(FIRST_COLUMN)}to ${target}`.padEnd(30) + `${median(times).toFixed(1)} ms`);
    }
  }
}

await main();
