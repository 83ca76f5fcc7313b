import { createInterface, type Interface } from "node:readline";
import type { InputStream, OutputStream } from "../cli-context.ts";
import type { History } from "./history.ts";
import type { LineReader, PromptTexts, ReadResult } from "./line-reader.ts";

/** Reads lines where there is no cursor to move (`TERM=dumb`): the prompt, the line, nothing else. */
export class PlainLineReader implements LineReader {
  onInterrupt: (() => void) | undefined;
  readonly #output: OutputStream;
  readonly #interface: Interface;
  /** Lines that came before they were asked for. */
  readonly #lines: ReadResult[] = [];
  #resolve: ((result: ReadResult) => void) | undefined;
  #ended = false;

  constructor(options: { input: InputStream; output: OutputStream; history: History }) {
    this.#output = options.output;
    const { input, output } = options;
    this.#interface = createInterface({ input, output, terminal: input.isTTY === true, historySize: 0 });
    this.#interface.on("line", (text) => this.#deliver({ type: "line", text }));
    this.#interface.on("SIGINT", () => {
      if (this.#resolve === undefined) this.onInterrupt?.();
      else this.#deliver({ type: "interrupt", discarded: this.#interface.line !== "" });
    });
    this.#interface.once("close", () => {
      this.#ended = true;
      this.#deliver({ type: "end" });
    });
  }

  read({ prompt }: PromptTexts): Promise<ReadResult> {
    const waiting = this.#lines.shift();
    if (waiting !== undefined) return Promise.resolve(waiting);
    if (this.#ended) return Promise.resolve({ type: "end" });
    this.#output.write(prompt);
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  close(): void {
    this.#interface.close();
  }

  #deliver(result: ReadResult): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    if (resolve !== undefined) resolve(result);
    else if (result.type === "line") this.#lines.push(result);
  }
}
