import { MullError } from "../spec/errors.ts";
import { type Answer, tellReceipt } from "./answer.ts";
import { type BatchReader, placesOf } from "./batch-reader.ts";
import type { KvCache, KvSequence } from "./kv-cache.ts";
import type { PictureRows } from "./picture-rows.ts";
import type { BatchEntry } from "./native-batch.ts";
import type { PrefixSnapshots } from "./prefix-snapshots.ts";
import type { SchedulerCounters } from "./scheduler-counters.ts";
import type { SequenceUnit } from "./sequence.ts";
import type { TextModel } from "./text-model.ts";

/**
 * Rows of a prompt per call into native code. Above 63 the CPU's attention switches to tiles whose rounding depends
 * on where in the cache a sequence lies; below, and with at least two rows, every row comes out the same bit by bit
 * whatever shares the batch or the cache (measured: float and quantised weights). Kernels of repacked weights work on
 * sixteen rows at a time: pieces of 16, 32 and 48 are read as fast as one of 256 (measured: 7B in Q4_0), one of 60 is not.
 */
export const READ_LENGTH = 48;
const ROWS_AT_A_TIME = 16;
/** How long one piece of a prompt may hold up the answers that are being written, in seconds. */
const HOLD_UP_SECONDS = 0.7;

/** Rows of a picture that are being read. */
type Reading = NonNullable<Answer["reading"]>;

export interface PromptReaderParts {
  text: TextModel;
  kv: KvCache;
  batches: BatchReader;
  pictures: PictureRows | undefined;
  snapshots: PrefixSnapshots;
  counters: SchedulerCounters;
  exact: boolean;
  /** Whether all rows of a part of a picture see each other, and are read in one piece. */
  together: boolean;
}

/** Reads prompts piece by piece: what the caches know is taken over, pictures are encoded on the way. */
export class PromptReader {
  readonly #parts: PromptReaderParts;
  /** Prompt tokens per second, smoothed. */
  #rate = Number.POSITIVE_INFINITY;

  constructor(parts: PromptReaderParts) {
    this.#parts = parts;
  }

  /**
   * The next piece of a prompt.
   *
   * @param quick whether others wait for their next token meanwhile
   * @returns rows that were read, and the place in the batch of the prompt's last token, once that is read
   */
  async read(answer: Answer, quick: boolean): Promise<{ rows: number; last?: number }> {
    const { counters } = this.#parts;
    const { content } = sequenceOf(answer);
    if (!answer.prefixKnown) await this.#beginWithKnown(answer);
    const { units } = answer.layout;
    const next = content.units.length;
    const unit = units[next];
    const started = performance.now();
    const before = content.cells + (answer.reading?.done ?? 0);
    const encodedBefore = answer.timings.encodeMs;
    let last = -1;
    if (typeof unit === "object") {
      const reading = answer.reading ?? (await this.#fetchRows(answer, next));
      await this.#readRows(answer, unit.rows, reading, quick);
    } else {
      last = await this.#readTokens(answer, next, quick);
    }
    const completed = content.cells + (answer.reading?.done ?? 0);
    const took = performance.now() - started - (answer.timings.encodeMs - encodedBefore);
    answer.timings.prefillMs += took;
    counters.prefillSeconds += took / 1000;
    answer.emit({ type: "progress", stage: "prefill", completed, total: answer.usage.inputTokens.total });
    if (typeof unit === "object" && answer.reading === undefined) {
      await this.#parts.snapshots.keep(sequenceOf(answer), answer.layout);
    }
    const rows = completed - before;
    return content.units.length === units.length ? { rows, last } : { rows };
  }

  /** Takes over what the caches know of the beginning of the prompt, but never its last unit, whose logits are needed. */
  async #beginWithKnown(answer: Answer): Promise<void> {
    const { kv, snapshots, counters, pictures } = this.#parts;
    const { layout, client, usage } = answer;
    const sequence = sequenceOf(answer);
    answer.prefixKnown = true;
    const started = performance.now();
    const wanted = layout.units.slice(0, -this.#tail(layout.units));
    const known = kv.findPrefix(client, wanted);
    const restored = await snapshots.restore(kv, sequence, layout, known?.positions ?? 0);
    if (!restored && known !== undefined) kv.adopt(sequence, known);
    answer.timings.restoreMs = performance.now() - started;
    const { cells, units } = sequence.content;
    usage.inputTokens.cached = cells;
    counters.promptTokens += usage.inputTokens.total;
    counters.cachedTokens += cells;
    const cachedIn = restored ? "snapshot" : "context";
    for (let place = 0; place < units.length; place++) {
      const index = layout.pictures[place];
      if (index === undefined || isFurtherPart(units[place])) continue;
      counters.cachedImages[cachedIn] += 1;
      const facts = pictures?.facts(layout.units[place], answer.images[index]);
      if (facts !== undefined) tellReceipt(answer, index, { ...facts, cached: true, cachedIn });
    }
    answer.emit({ type: "progress", stage: "prefill", completed: cells, total: usage.inputTokens.total });
  }

  /** Units at the end of a prompt that must be read in any case. */
  #tail(units: readonly SequenceUnit[]): number {
    const two = this.#parts.exact && typeof units.at(-1) === "number" && typeof units.at(-2) === "number";
    return two ? 2 : 1;
  }

  async #fetchRows(answer: Answer, place: number): Promise<Reading> {
    const { pictures, counters } = this.#parts;
    const index = answer.layout.pictures[place];
    const unit = answer.layout.units[place];
    const image = index === undefined ? undefined : answer.images[index];
    if (pictures === undefined || image === undefined || index === undefined || typeof unit !== "object") {
      throw new MullError("internal", "A picture has no encoder.");
    }
    const total = answer.images.length;
    answer.emit({ type: "progress", stage: "encode", completed: index, total });
    const started = performance.now();
    const { rows, places, facts } = await pictures.rows(unit, image, answer);
    const took = performance.now() - started;
    answer.timings.encodeMs += took;
    if (isFurtherPart(unit)) return (answer.reading = { rows, places, done: 0 });
    if (facts.cached) counters.cachedImages.rows += 1;
    else {
      counters.encodedImages += 1;
      counters.encodeSeconds += took / 1000;
    }
    tellReceipt(answer, index, facts);
    answer.emit({ type: "progress", stage: "encode", completed: index + 1, total });
    return (answer.reading = { rows, places, done: 0 });
  }

  /** The next rows of a picture; its unit counts as read when all are. */
  async #readRows(answer: Answer, total: number, reading: Reading, quick: boolean): Promise<void> {
    const { text, batches } = this.#parts;
    const { content, id } = sequenceOf(answer);
    // Rows that see each other must be there together.
    const { together } = this.#parts;
    const count = together ? total : this.#pieceLength(total - reading.done, quick);
    const isLast = reading.done + count === total;
    const width = text.embeddingLength;
    const rows = reading.rows.subarray(reading.done * width, (reading.done + count) * width);
    const endsPrompt = isLast && content.units.length + 1 === answer.layout.units.length;
    const places = placesOfRows(id, content.positions, reading, count, endsPrompt);
    await this.#timed(count, () => batches.readRows(rows, places, together));
    reading.done += count;
    if (!isLast) return;
    answer.reading = undefined;
    content.append([answer.layout.units[content.units.length] as SequenceUnit]);
  }

  /** @returns place in the batch of the prompt's last token, or -1 */
  async #readTokens(answer: Answer, from: number, quick: boolean): Promise<number> {
    const { text, batches } = this.#parts;
    const { units } = answer.layout;
    const { content, id } = sequenceOf(answer);
    const picture = units.findIndex((unit, place) => place > from && typeof unit === "object");
    const end = picture < 0 ? units.length : picture;
    const count = this.#pieceLength(end - from, quick);
    const tokens = units.slice(from, from + count) as number[];
    const isLast = from + count === units.length;
    const places = placesOf(id, content.positions, count, isLast);
    const wantsState = isLast && answer.goal === "state";
    if (wantsState) {
      // With states on, native code wants an output of every token.
      text.yieldsStates = true;
      for (const place of places) place.output = true;
    }
    try {
      await this.#timed(count, () => batches.readTokens(tokens, places));
      if (wantsState) answer.state = text.state(count - 1);
    } finally {
      if (wantsState) text.yieldsStates = false;
    }
    content.append(tokens);
    return isLast ? count - 1 : -1;
  }

  /** How much to read at once: as much as fits a call, less while others wait for their next token. */
  #pieceLength(left: number, quick: boolean): number {
    const wanted = quick ? Math.max(ROWS_AT_A_TIME, this.#rate * HOLD_UP_SECONDS) : READ_LENGTH;
    const most = ROWS_AT_A_TIME * Math.floor(Math.min(READ_LENGTH, wanted) / ROWS_AT_A_TIME);
    if (left <= most) return left;
    // No single row may be left over.
    return left - most === 1 ? most - 2 : most;
  }

  async #timed(count: number, read: () => Promise<void>): Promise<void> {
    const started = performance.now();
    await read();
    const rate = (1000 * count) / (performance.now() - started);
    if (count >= ROWS_AT_A_TIME) {
      this.#rate = Number.isFinite(this.#rate) ? 0.7 * this.#rate + 0.3 * rate : rate;
    }
  }
}

/** Rows of a picture go one after the other, or where their coordinates say. */
function placesOfRows(
  sequence: number,
  start: number,
  { places, done }: Reading,
  count: number,
  output: boolean,
): BatchEntry[] {
  const entries = placesOf(sequence, start + done, count, output);
  if (places === undefined) return entries;
  return entries.map((entry, index) => ({
    ...entry,
    position: start + (places.time[done + index] ?? 0),
    down: start + (places.down[done + index] ?? 0),
    across: start + (places.across[done + index] ?? 0),
  }));
}

function isFurtherPart(unit: SequenceUnit | undefined): boolean {
  return typeof unit === "object" && unit.part > 0;
}

function sequenceOf({ sequence }: Answer): KvSequence {
  if (sequence === undefined) throw new MullError("internal", "An answer without a sequence was to be read.");
  return sequence;
}
