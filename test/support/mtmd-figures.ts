import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What llama.cpp's mtmd makes of a generated model and picture. */
export interface MtmdFigures {
  name: string;
  /** Of the prompt: tokens, and how many rows stand between them. */
  prompt: (number[] | number)[];
  /** A few values of every row, evenly spread. */
  rows: number[][];
  /** Greedy tokens. */
  answer: number[];
  /** Their bytes in hexadecimal. */
  text: string;
}

export interface MtmdInput {
  name: string;
  folder: string;
  files: { model: string; projector: string };
  /** (height, width, 3) uint8 */
  pixels: Uint8Array;
  width: number;
  height: number;
  /** With `<__media__>` where the picture is. */
  prompt: string;
}

const ANSWER_TOKENS = 16;
const KEPT_VALUES = 4;

/**
 * Figures that are stored, or, if the environment variable MTMD_DUMP names the program, made anew and stored: it is
 * src/encoders/fixtures/mtmd-dump.cpp, linked with the libraries of the llama.cpp that LIBRARY_VERSION names.
 *
 * @param test name of the test file, for the command that the stored file tells
 */
export async function mtmdFigures(
  file: URL,
  test: string,
  inputs: () => Promise<MtmdInput[]>,
): Promise<MtmdFigures[]> {
  const program = process.env["MTMD_DUMP"];
  if (program !== undefined) {
    const cases = (await inputs()).map((input) => dump(program, input));
    const command = `MTMD_DUMP=./mtmd-dump npx vitest run ${test}`;
    const text = JSON.stringify({ command, cases }).replaceAll('{"name"', '\n{"name"');
    writeFileSync(file, `${text}\n`);
  }
  return (JSON.parse(readFileSync(file, "utf8")) as { cases: MtmdFigures[] }).cases;
}

function dump(program: string, input: MtmdInput): MtmdFigures {
  const picture = join(input.folder, "picture.rgb");
  writeFileSync(picture, input.pixels);
  const { model, projector } = input.files;
  const size = [`${input.width}`, `${input.height}`];
  const output = execFileSync(
    program,
    [model, projector, picture, ...size, input.prompt, `${ANSWER_TOKENS}`],
    { maxBuffer: 2 ** 28 },
  );
  const { chunks, answer, text } = JSON.parse(output.toString()) as {
    chunks: ({ tokens: number[] } | { rows: number; values: number[] })[];
    answer: number[];
    text: string;
  };
  return {
    name: input.name,
    prompt: chunks.map((chunk) => ("tokens" in chunk ? chunk.tokens : chunk.rows)),
    rows: chunks.flatMap((chunk) => ("rows" in chunk ? keepSome(chunk.values, chunk.rows) : [])),
    answer,
    text,
  };
}

function keepSome(values: number[], rows: number): number[][] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) => keptValues(values, row, width));
}

/** Those of a row that are compared. */
export function keptValues(values: ArrayLike<number>, row: number, width: number): number[] {
  return Array.from(
    { length: KEPT_VALUES },
    (_, index) => values[row * width + (index * width) / KEPT_VALUES] ?? NaN,
  );
}
