import { RateMeter } from "../../store/pull/rate-meter.ts";
import type { TransferProgress } from "../../store/transfer-progress.ts";
import type { OutputStream } from "../cli-context.ts";
import { canMoveCursor } from "./colour.ts";
import { cutToWidth, displayWidth } from "./display-width.ts";
import { formatBytes, formatDuration } from "./format-quantity.ts";
import { safeName } from "./safe-text.ts";

/** What is shown of one status: a line that changes while it lasts, and then stays. */
interface Row {
  status: string;
  /** In bytes; undefined for a step that is not counted. */
  total: number | undefined;
  completed: number;
  meter: RateMeter;
  done: boolean;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const BAR_WIDTH = 20;
const SHORTEST_BAR = 5;
/** "1.23 GB/4.56 GB  78.9 MB/s  59 m 59 s" */
const FACTS_WIDTH = 37;
const ESCAPE = "\u001b[";

/**
 * The progress of a pull, a push or a create: at a terminal one line per layer with rate and time left, redrawn in
 * place; elsewhere one line when a step begins, and nothing that moves.
 */
export class TransferView {
  readonly #stream: OutputStream;
  readonly #animated: boolean;
  readonly #now: () => number;
  /** In the order in which they began; without those that are over and stand above. */
  readonly #rows = new Map<string, Row>();
  /** By key, the status of what stands above: it is not said twice. */
  readonly #over = new Map<string, string>();
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
    const isOver = total !== undefined && completed >= total;
    if (isOver && !this.#rows.has(key) && this.#over.get(key) === status) return;
    const row = this.#rowOf(key, status, total);
    row.total = total;
    row.completed = completed;
    row.meter.update(completed);
    row.done = isOver;
    if (this.#animated) this.#timer ??= setInterval(() => this.draw(), FRAME_MS).unref();
  };

  #rowOf(key: string, status: string, total: number | undefined): Row {
    const known = this.#rows.get(key);
    if (known?.status === status) return known;
    // Steps that are not counted follow one another: when the next begins, the last is over.
    for (const other of this.#rows.values()) if (other.total === undefined) other.done = true;
    const row = { status, total, completed: 0, meter: new RateMeter(this.#now), done: false };
    this.#rows.set(key, row);
    if (!this.#animated)
      this.#stream.write(`${safeName(status)}${total === undefined ? "" : ` (${formatBytes(total)})`}\n`);
    return row;
  }

  /** Draws the last state, and leaves it there. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const row of this.#rows.values()) row.done ||= row.total === undefined;
    if (this.#animated && this.#rows.size > 0) this.draw();
    this.#rows.clear();
    this.#drawnLines = 0;
  }

  /** What the timer calls. */
  draw(): void {
    this.#frame += 1;
    const width = Math.max(1, (this.#stream.columns ?? 80) - 1);
    const up = this.#drawnLines === 0 ? "" : `${ESCAPE}${this.#drawnLines}A`;
    let text = `${up}\r`;
    // What is over scrolls away with the rest of the screen: only what still changes is drawn over.
    for (const [key, row] of this.#rows) {
      if (!row.done) break;
      text += `${ESCAPE}K${this.#line(row, width)}\n`;
      this.#rows.delete(key);
      if (row.total !== undefined) this.#over.set(key, row.status);
    }
    const most = Math.max(1, (this.#stream.rows ?? 24) - 1);
    const lines = [...this.#rows.values()].slice(-most).map((row) => this.#line(row, width));
    text += `${lines.map((line) => `${ESCAPE}K${line}\n`).join("")}${ESCAPE}J`;
    this.#stream.write(text);
    this.#drawnLines = lines.length;
  }

  #line({ total, completed, done, ...row }: Row, width: number): string {
    const status = safeName(row.status);
    if (total === undefined) {
      const frame = done ? "" : ` ${FRAMES[this.#frame % FRAMES.length]}`;
      return `${cutToWidth(status, width - frame.length)}${frame}`;
    }
    const share = total === 0 ? 1 : Math.min(1, completed / total);
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const amount = done ? formatBytes(total) : `${formatBytes(completed)}/${formatBytes(total)}`;
    const rate = done ? undefined : row.meter.bytesPerSecond();
    const seconds = done ? undefined : row.meter.secondsLeft(total);
    const pace = rate === undefined ? [] : [`${formatBytes(rate)}/s`];
    const left = seconds === undefined ? [] : [formatDuration(Math.ceil(seconds) * 1000)];
    const begin = `${status}: ${percent}`;
    const room = width - displayWidth(begin) - 1;
    // As wide while it lasts as when it is over, whatever the facts are.
    const bar = Math.min(BAR_WIDTH, room - FACTS_WIDTH - 3);
    if (bar >= SHORTEST_BAR)
      return `${begin} ▕${barText(share, bar)}▏ ${[amount, ...pace, ...left].join("  ")}`;
    const facts = [[amount, ...pace, ...left], [amount], left].find(
      (some) => some.length > 0 && some.join("  ").length <= room,
    );
    if (facts !== undefined) return `${begin} ${facts.join("  ")}`;
    const end = `: ${percent}`;
    return `${cutToWidth(status, width - end.length)}${end}`;
  }
}

function barText(share: number, width: number): string {
  const filled = Math.round(share * width);
  return "█".repeat(filled) + " ".repeat(width - filled);
}
