import { type Model, load } from "mull";
import { type Question, isRight, readPicture, readQuestions } from "./eval-questions.ts";
import { plainPicture } from "./test-picture.ts";

/*
 * `npm run eval:pico`: asks pico the held-out questions of `training/eval` through the real runtime, greedily, and
 * prints the accuracy by task; then again with every picture blanked, to see what the words alone give away.
 */

/** What version 0 set out to reach. */
const TARGETS: Record<string, number> = {
  naming: 0.85,
  colour: 0.95,
  shape: 0.95,
  count: 0.85,
  position: 0.9,
  yesno: 0.88,
  reading: 0.6,
};
const BLANKED_LIMIT = 0.4;

const questions = readQuestions();
const verbose = process.argv.includes("--verbose");
const model = await load("pico");
try {
  const seen = await run(model, readPicture);
  const blanked = await run(model, () => plainPicture(128, 128, [127, 127, 127]));
  print(seen, blanked);
} finally {
  await model.close();
}

interface Result extends Question {
  answer: string;
  right: boolean;
}

async function run(asked: Model, picture: (question: Question) => Uint8Array): Promise<Result[]> {
  const results: Result[] = [];
  for (const question of questions) {
    const answer = await asked.ask(question.question, picture(question), { temperature: 0, maxTokens: 60 });
    results.push({ ...question, answer, right: isRight(question, answer) });
  }
  return results;
}

function print(seen: Result[], blanked: Result[]): void {
  const percent = (results: Result[]): string =>
    `${((100 * results.filter(({ right }) => right).length) / results.length).toFixed(1)} %`.padStart(8);
  console.log("task        n   right    target   blanked");
  for (const task of Object.keys(TARGETS)) {
    const of = (results: Result[]): Result[] => results.filter((result) => result.task === task);
    const target = `${(TARGETS[task] as number) * 100} %`.padStart(8);
    console.log(
      `${task.padEnd(9)} ${String(of(seen).length).padStart(3)} ${percent(of(seen))}${target}  ${percent(of(blanked))}`,
    );
  }
  console.log(
    `${"all".padEnd(9)} ${String(seen.length).padStart(3)} ${percent(seen)}          ${percent(blanked)} (limit ${BLANKED_LIMIT * 100} %)`,
  );
  const yesNo = seen.filter(({ task }) => task === "yesno");
  const yes = yesNo.filter(({ answer }) => /^yes\b/i.test(answer)).length;
  console.log(`yes-rate  ${((100 * yes) / yesNo.length).toFixed(1)} % (50 ± 5 %)`);
  if (!verbose) return;
  for (const { id, question, accept, answer, right } of seen) {
    if (!right) console.log(`${id}: ${question} → ${answer} (${accept.join(" | ")})`);
  }
}
