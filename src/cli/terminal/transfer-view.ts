import type { TransferProgress } from "../../store/transfer-progress.ts";
import type { OutputStream } from "../cli-context.ts";
import { canMoveCursor } from "./colour.ts";
import { displayWidth } from "./display-width.ts";
import { formatBytes, formatDuration } from "./format-quantity.ts";
import { safeName } from "./safe-text.ts";

/** What is shown of one status: a line that stays, and changes while it lasts. */
interface Row {
  status: string;
  total: number | undefined;
  completed: number;
  /** Of the first progress, to tell rate and what is left. */
  startedMs: number;
  startedAt: number;
  done: boolean;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const BAR_WIDTH = 20;
const ESCAPE = "\u001b[";

/**
 * The progress of a pull, a push or a create: at a terminal one line per layer with rate and time left, redrawn in
 * place; elsewhere one line when a step begins, and nothing that moves.
 */
export class TransferView {
  readonly #stream: OutputStream;
  readonly #animated: boolean;
  readonly #now: () => number;
  readonly #rows = new Map<string, Row>();
  #drawnLines = 0;
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: OutputStream, env: NodeJS.ProcessEnv, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#animated = canMoveCursor(stream, env);
    this.#now = now;
  }

  readonly show = ({ status, digest, total, completed = 0 }: TransferProgress): void => {
    const key = digest ?? status;
    const row = this.#rows.get(key);
    if (row === undefined || row.status !== status) {
      // Steps without a digest follow one another: when the next begins, the last is over.
      for (const other of this.#rows.values()) if (other.total === undefined) other.done = true;
      const fresh = { status, total, completed, startedMs: this.#now(), startedAt: completed, done: false };
      this.#rows.set(key, fresh);
      if (!this.#animated)
        this.#stream.write(`${safeName(status)}${total === undefined ? "" : ` (${formatBytes(total)})`}\n`);
    } else {
      row.total = total;
      row.completed = completed;
    }
    const current = this.#rows.get(key);
    if (current !== undefined && total !== undefined) current.done = completed >= total;
    if (!this.#animated) return;
    this.#timer ??= setInterval(() => this.#draw(), FRAME_MS).unref();
  };

  /** Draws the last state, and leaves it there. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (!this.#animated || this.#rows.size === 0) return;
    for (const row of this.#rows.values()) if (row.total === undefined) row.done = true;
    this.#draw();
    this.#rows.clear();
    this.#drawnLines = 0;
  }

  #draw(): void {
    this.#frame += 1;
    const width = Math.max(20, (this.#stream.columns ?? 80) - 1);
    const most = Math.max(1, (this.#stream.rows ?? 24) - 1);
    // What does not fit on the screen cannot be drawn over: the oldest lines are over anyway.
    const lines = [...this.#rows.values()].slice(-most).map((row) => this.#line(row, width));
    const up = this.#drawnLines === 0 ? "" : `${ESCAPE}${this.#drawnLines}A`;
    this.#stream.write(`${up}\r${lines.map((line) => `${ESCAPE}K${line}\n`).join("")}${ESCAPE}J`);
    this.#drawnLines = lines.length;
  }

  #line(row: Row, width: number): string {
    const status = safeName(row.status);
    if (row.total === undefined)
      return row.done ? status : `${status} ${FRAMES[this.#frame % FRAMES.length]}`;
    const share = row.total === 0 ? 1 : Math.min(1, row.completed / row.total);
    const filled = Math.round(share * BAR_WIDTH);
    const bar = "█".repeat(filled) + " ".repeat(BAR_WIDTH - filled);
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const facts = row.done ? formatBytes(row.total) : this.#facts(row, row.total);
    const line = `${status}: ${percent} ▕${bar}▏ ${facts}`;
    return displayWidth(line) <= width ? line : `${status}: ${percent} ${facts}`.slice(0, width);
  }

  /** "1.2 GB/4.1 GB  93.4 MB/s  31.2 s" */
  #facts(row: Row, total: number): string {
    const seconds = (this.#now() - row.startedMs) / 1000;
    const rate = seconds > 0 ? (row.completed - row.startedAt) / seconds : 0;
    const amount = `${formatBytes(row.completed)}/${formatBytes(total)}`;
    if (seconds < 0.5 || rate <= 0) return amount;
    return `${amount}  ${formatBytes(rate)}/s  ${formatDuration(((total - row.completed) / rate) * 1000)}`;
  }
}
