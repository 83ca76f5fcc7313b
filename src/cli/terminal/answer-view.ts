import { MullError } from "../../spec/errors.ts";
import type { StreamPart } from "../../spec/stream.ts";
import type { OutputStream } from "../cli-context.ts";
import { AnswerWriter } from "./answer-writer.ts";
import { createPaint, type Paint } from "./colour.ts";
import { ProgressLine } from "./progress-line.ts";
import { lossesText, receiptText } from "./receipt-text.ts";
import { timingsText } from "./timings-text.ts";

/** Where the parts of a stream go. */
export interface AnswerView {
  show(part: StreamPart): void;
  /** Ends the answer, whole or not: no open line and no progress stays behind. */
  end(): void;
}

/** One part per line, as JSON, on stdout: what programs read. */
export function createJsonView(stdout: OutputStream): AnswerView {
  return {
    show: (part) => void stdout.write(`${JSON.stringify(part)}\n`),
    end: () => {},
  };
}

export interface HumanViewOptions {
  stdout: OutputStream;
  stderr: OutputStream;
  env: NodeJS.ProcessEnv;
  /** Print timings, and receipts. */
  verbose: boolean;
  /** Print receipts even where stderr is not a terminal. */
  receipts?: boolean;
  wordWrap: boolean;
}

/**
 * The answer on stdout; progress, receipts and timings on stderr.
 *
 * Receipts are for people: on a terminal they are always printed, into a log only when
 * asked for. A step that keeps
 * a part of the file from the model (one frame of many, a crop) is printed everywhere.
 */
export class HumanView implements AnswerView {
  readonly #options: HumanViewOptions;
  readonly #answer: AnswerWriter;
  readonly #progress: ProgressLine;
  readonly #paint: Paint;
  #afterword = "";

  constructor(options: HumanViewOptions) {
    this.#options = options;
    this.#answer = new AnswerWriter(options.stdout, { wordWrap: options.wordWrap });
    this.#progress = new ProgressLine(options.stderr, options.env);
    this.#paint = createPaint(options.stderr, options.env);
  }

  show(part: StreamPart): void {
    if (part.type === "progress") {
      if (!this.#answer.midLine) this.#progress.show(part);
      return;
    }
    this.#progress.clear();
    switch (part.type) {
      case "media": {
        const { verbose, receipts = verbose, stderr } = this.#options;
        const everything = verbose || receipts || stderr.isTTY === true;
        const text = everything ? receiptText(part.receipt) : lossesText(part.receipt);
        if (text !== "") this.#options.stderr.write(paintLines(this.#paint, text));
        return;
      }
      case "text-delta":
        this.#answer.write(part.delta);
        return;
      case "text-end":
        this.#answer.end();
        return;
      case "finish":
        if (part.reason === "length") this.#afterword = "(cut off: the limit of tokens was reached)\n";
        if (this.#options.verbose) this.#afterword += `\n${timingsText(part.usage, part.timings)}`;
        return;
      case "error":
        throw MullError.from(part.error);
      case "text-start":
        return;
    }
  }

  end(): void {
    this.#progress.clear();
    this.#answer.end();
    if (this.#afterword !== "") this.#options.stderr.write(paintLines(this.#paint, this.#afterword));
    this.#afterword = "";
  }
}

/** Styles line by line, so that a scrolled or cut terminal never keeps an open style. */
function paintLines(paint: Paint, text: string): string {
  return text.replaceAll(/.+/g, (line) => paint("dim", line));
}
