import type { ProgressPart } from "../../spec/stream.ts";
import type { OutputStream } from "../cli-context.ts";
import { canMoveCursor, createPaint, type Paint } from "./colour.ts";
import { formatDuration } from "./format-quantity.ts";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const ERASE_LINE = "\r\u001b[K";

/**
 * One line at the bottom of the terminal that says what is going on, gone without a trace when something else
 * is printed. Silent where the stream is not a terminal. Work that ends within a frame is never shown.
 */
export class ProgressLine {
  readonly #stream: OutputStream;
  readonly #paint: Paint;
  readonly #animated: boolean;
  #timer: NodeJS.Timeout | undefined;
  #text = "";
  #stage = "";
  #stageStarted = 0;
  #frame = 0;
  #drawn = false;

  constructor(stream: OutputStream, env: NodeJS.ProcessEnv) {
    this.#stream = stream;
    this.#paint = createPaint(stream, env);
    this.#animated = canMoveCursor(stream, env);
  }

  show(progress: Omit<ProgressPart, "type">): void {
    if (!this.#animated) return;
    if (progress.stage !== this.#stage) {
      this.#stage = progress.stage;
      this.#stageStarted = Date.now();
    }
    this.#text = progressText(progress);
    this.#timer ??= setInterval(() => this.#draw(), FRAME_MS).unref();
  }

  /** Takes the line away; the next `show` brings it back. */
  clear(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#stage = "";
    if (this.#drawn) this.#stream.write(ERASE_LINE);
    this.#drawn = false;
  }

  #draw(): void {
    const seconds = Math.floor((Date.now() - this.#stageStarted) / 1000);
    const elapsed = seconds < 2 ? "" : ` · ${formatDuration(seconds * 1000)}`;
    const frame = FRAMES[this.#frame++ % FRAMES.length] ?? "";
    const line = `${frame} ${this.#text}${elapsed}`.slice(0, Math.max(1, (this.#stream.columns ?? 80) - 1));
    this.#stream.write(`${ERASE_LINE}${this.#paint("dim", line)}`);
    this.#drawn = true;
  }
}

function progressText({ stage, completed, total }: Omit<ProgressPart, "type">): string {
  const percent = total > 0 ? ` ${Math.floor((100 * completed) / total)} %` : "";
  const ordinal = total > 1 ? ` ${Math.min(completed + 1, total)} of ${total}` : "";
  switch (stage) {
    case "load":
      return `loading the model${percent}`;
    case "decode":
      return `opening the picture${ordinal}`;
    case "encode":
      return `looking at the picture${ordinal}`;
    default:
      return `reading the prompt${percent}`;
  }
}
