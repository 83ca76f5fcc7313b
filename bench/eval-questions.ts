import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A held-out question about a drawn picture. */
export interface Question {
  id: string;
  image: string;
  task: string;
  question: string;
  /** Lower case; one of them must stand in the answer as whole words. */
  accept: string[];
  /** None of these may. */
  reject?: string[];
}

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const folder = join(root, "training", "eval");

export function readQuestions(): Question[] {
  const lines = readFileSync(join(folder, "questions.jsonl"), "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Question);
}

export function readPicture({ image }: Question): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, image)));
}

export function isRight({ accept, reject = [] }: Question, answer: string): boolean {
  const words = ` ${answer.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ")} `;
  const has = (text: string): boolean =>
    words.includes(` ${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ")} `);
  return accept.some(has) && !reject.some(has);
}
