import { MullError } from "../spec/errors.ts";
import { type Answer, type AnswerRequest, tellReceipt } from "./answer.ts";
import { FairQueue } from "./fair-queue.ts";
import { Generation } from "./generation.ts";
import { KvCache, PADDING_SEQUENCE } from "./kv-cache.ts";
import type { BatchEntry } from "./native-batch.ts";
import type { PictureRows } from "./picture-rows.ts";
import type { PrefixSnapshots } from "./prefix-snapshots.ts";
import { type SequenceUnit, positionsOf, sharedUnits } from "./sequence.ts";
import type { DecodeOutcome, TextModel } from "./text-model.ts";

/** Counters of what was done; they only grow. */
export interface SchedulerCounters {
  promptTokens: number;
  cachedTokens: number;
  generatedTokens: number;
  encodedImages: number;
  cachedImages: { context: number; snapshot: number; rows: number };
  encodeSeconds: number;
  prefillSeconds: number;
  generateSeconds: number;
}

/**
 * Rows of a prompt per call into native code. Above 63 the CPU's attention switches to tiles whose rounding depends
 * on where in the cache a sequence lies; below, and with at least two rows, every row comes out the same bit by bit
 * whatever shares the batch or the cache (measured: float and quantised weights).
 */
const READ_LENGTH = 60;
/** How long one piece of a prompt may hold up the answers that are being written, in seconds. */
const HOLD_UP_SECONDS = 0.7;
const LEAST_READ_LENGTH = 16;

export interface SchedulerParts {
  text: TextModel;
  pictures: PictureRows | undefined;
  snapshots: PrefixSnapshots;
  /**
   * Whether greedy answers must be the same bit by bit, whatever runs beside them and whatever is cached. Costs a second
   * row in batches of one and pauses to make room, so it is for small models.
   */
  exact: boolean;
}

/**
 * Continuous batching: one step after the other, a token for every answer that is being written in one batch, then a
 * piece of a prompt. New requests join between steps; a finished one leaves its place at once. One prompt is read at a
 * time, in pieces short enough that answers keep flowing; whose turn it is goes by what each client got so far.
 */
export class Scheduler {
  readonly counters: SchedulerCounters = {
    promptTokens: 0,
    cachedTokens: 0,
    generatedTokens: 0,
    encodedImages: 0,
    cachedImages: { context: 0, snapshot: 0, rows: 0 },
    encodeSeconds: 0,
    prefillSeconds: 0,
    generateSeconds: 0,
  };
  readonly kv: KvCache;
  readonly #parts: SchedulerParts;
  readonly #text: TextModel;
  readonly #queue = new FairQueue<Answer>();
  /** In the order in which they were let in. */
  readonly #live: Answer[] = [];
  /** Those whose tokens are in the batch that runs now. */
  #inBatch: readonly Answer[] = [];
  #looping = false;
  /** Prompt tokens per second, smoothed. */
  #readRate = Number.POSITIVE_INFINITY;

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.#text = parts.text;
    this.kv = new KvCache(parts.text, parts.exact);
  }

  get running(): number {
    return this.#live.length;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** @returns when the answer has ended. @throws the signal's reason when it is cancelled; MullError */
  run(request: AnswerRequest): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const answer: Answer = {
        ...request,
        reading: undefined,
        sequence: undefined,
        prefixKnown: false,
        generation: undefined,
        pending: undefined,
        receipts: new Set(),
        state: undefined,
        timings: { queueMs: 0, restoreMs: 0, encodeMs: 0, prefillMs: 0, generateMs: 0 },
        usage: { inputTokens: { ...request.layout.tokens, cached: 0 }, outputTokens: 0 },
        submittedAt: performance.now(),
        generatingSince: 0,
        settle: { resolve: () => resolve(answer), reject },
      };
      if (request.signal.aborted) {
        reject(request.signal.reason);
        return;
      }
      request.signal.addEventListener("abort", () => this.#cancel(answer), { once: true });
      this.#queue.push(answer);
      if (!this.#looping) void this.#loop();
    });
  }

  #cancel(answer: Answer): void {
    if (this.#queue.remove(answer)) {
      this.#queue.leave(answer);
      answer.settle.reject(answer.signal.reason);
      return;
    }
    // A batch is only interrupted when nobody is left who waits for it.
    if (this.#inBatch.includes(answer) && this.#inBatch.every(({ signal }) => signal.aborted)) {
      this.#text.interrupt();
    }
  }

  async #loop(): Promise<void> {
    this.#looping = true;
    try {
      while (this.#live.length > 0 || this.#queue.length > 0) {
        await this.#letIn();
        await this.#guard(
          this.#live.filter(({ pending }) => pending !== undefined),
          (answers) => this.#write(answers),
        );
        const reader = this.#nextReader();
        if (reader !== undefined) await this.#guard([reader], () => this.#read(reader));
        // Messages that came meanwhile: new requests and cancellations.
        await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (error) {
      // Nothing of this kind is known; whoever waits must not wait for ever.
      for (const answer of this.#live.slice()) this.#end(answer, error);
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        this.#queue.leave(next);
        next.settle.reject(error);
      }
    } finally {
      this.#looping = false;
    }
  }

  async #letIn(): Promise<void> {
    while (this.#live.length < this.#text.parallel) {
      if (!this.kv.hasRoom) {
        const next = this.#live.length === 0 ? this.#queue.next() : undefined;
        if (next === undefined) return;
        await this.kv.reset(next.tenant, next.layout.units);
      }
      const answer = this.#queue.shift();
      if (answer === undefined) return;
      answer.timings.queueMs = performance.now() - answer.submittedAt;
      answer.sequence = this.kv.open(answer.tenant);
      this.#live.push(answer);
    }
  }

  /** Runs a step for answers that are not cancelled; an error ends those it was for, and no others. */
  async #guard(answers: readonly Answer[], step: (going: readonly Answer[]) => Promise<void>): Promise<void> {
    const going = answers.filter((answer) => {
      if (answer.signal.aborted) this.#end(answer, answer.signal.reason);
      return !answer.signal.aborted;
    });
    if (going.length === 0) return;
    this.#inBatch = going;
    try {
      await step(going);
    } catch (error) {
      for (const answer of going) {
        if (this.#live.includes(answer))
          this.#end(answer, answer.signal.aborted ? answer.signal.reason : error);
      }
    } finally {
      this.#inBatch = [];
    }
  }

  /** One token of every answer that is being written. */
  async #write(answers: readonly Answer[]): Promise<void> {
    const started = performance.now();
    const tokens = answers.map(({ pending }) => pending as number);
    const entries = answers.map(({ sequence }) => ({
      sequence: (sequence as NonNullable<typeof sequence>).id,
      position: (sequence as NonNullable<typeof sequence>).content.positions,
      output: true,
    }));
    await this.#readTokens(tokens, entries);
    for (const [index, answer] of answers.entries()) {
      answer.sequence?.content.append([tokens[index] as number]);
      this.#queue.charge(answer, 1);
    }
    for (const [index, answer] of answers.entries()) {
      try {
        this.#choose(answer, index);
      } catch (error) {
        // What is wrong with one answer is nothing to the others in its batch.
        this.#end(answer, error);
      }
    }
    this.counters.generateSeconds += (performance.now() - started) / 1000;
  }

  #choose(answer: Answer, index: number): void {
    const { generation } = answer;
    if (generation === undefined) return;
    const { delta, token, end, logprob, stopString } = generation.next(this.#text.logits(index));
    answer.pending = token;
    answer.usage.outputTokens = generation.tokens;
    this.counters.generatedTokens += 1;
    if (delta !== "" || logprob !== undefined) {
      const { tokens } = generation;
      answer.emit({ type: "text", delta, tokens, ...(logprob === undefined ? {} : { logprob }) });
    }
    if (end === undefined) return;
    answer.timings.generateMs = performance.now() - answer.generatingSince;
    const { usage, timings } = answer;
    answer.emit({
      type: "finish",
      reason: end,
      usage,
      timings,
      ...(stopString === undefined ? {} : { stopString }),
    });
    this.#end(answer);
  }

  /** Whose prompt to go on with: the client's that got least, and not one that another is about to read anyway. */
  #nextReader(): Answer | undefined {
    const readers = this.#live.filter((answer) => answer.generation === undefined);
    const free = readers.filter(
      (answer, place) => !readers.slice(0, place).some((leader) => isAhead(leader, answer)),
    );
    return this.#queue.leastServed(free);
  }

  /** The next piece of a prompt. */
  async #read(answer: Answer): Promise<void> {
    const sequence = answer.sequence as NonNullable<typeof answer.sequence>;
    if (!answer.prefixKnown) await this.#beginWithKnown(answer);
    const { units } = answer.layout;
    const next = sequence.content.units.length;
    const unit = units[next];
    const started = performance.now();
    const before = sequence.content.positions;
    const encodedBefore = answer.timings.encodeMs;
    let last = -1;
    if (typeof unit === "object") {
      const rows = answer.reading ?? (await this.#fetchRows(answer, next));
      await this.#readRows(answer, unit.rows, rows);
    } else {
      last = await this.#readPromptTokens(answer, units, next);
    }
    const read = sequence.content.positions - before + (answer.reading?.done ?? 0);
    const took = performance.now() - started - (answer.timings.encodeMs - encodedBefore);
    answer.timings.prefillMs += took;
    this.counters.prefillSeconds += took / 1000;
    const { total } = answer.usage.inputTokens;
    answer.emit({ type: "progress", stage: "prefill", completed: before + read, total });
    if (typeof unit === "object" && answer.reading === undefined) await this.#keepSnapshot(answer);
    if (sequence.content.units.length === units.length) this.#finishPrompt(answer, last);
  }

  /** Takes over what the caches know of the beginning of the prompt, but never its last unit, whose logits are needed. */
  async #beginWithKnown(answer: Answer): Promise<void> {
    const { sequence, layout, tenant } = answer;
    if (sequence === undefined) return;
    answer.prefixKnown = true;
    const started = performance.now();
    const wanted = layout.units.slice(0, -this.#tail(layout.units));
    const known = this.kv.findPrefix(tenant, wanted);
    const restored = await this.#parts.snapshots.restore(this.kv, sequence, layout, known?.positions ?? 0);
    if (!restored && known !== undefined) this.kv.adopt(sequence, known);
    answer.timings.restoreMs = performance.now() - started;
    const { positions, units } = sequence.content;
    answer.usage.inputTokens.cached = positions;
    this.counters.promptTokens += answer.usage.inputTokens.total;
    this.counters.cachedTokens += positions;
    const cachedIn = restored ? "snapshot" : "context";
    for (let place = 0; place < units.length; place++) {
      const index = layout.pictures[place];
      if (index === undefined) continue;
      this.counters.cachedImages[cachedIn] += 1;
      const facts = this.#parts.pictures?.facts(layout.units[place], answer.images[index]);
      if (facts !== undefined) tellReceipt(answer, index, { ...facts, cached: true, cachedIn });
    }
    answer.emit({
      type: "progress",
      stage: "prefill",
      completed: positions,
      total: answer.usage.inputTokens.total,
    });
  }

  /** Units at the end of a prompt that must be read in any case. */
  #tail(units: readonly SequenceUnit[]): number {
    // A single row would be computed another way than two, and come out different in the last bits.
    const two = this.#parts.exact && typeof units.at(-1) === "number" && typeof units.at(-2) === "number";
    return two ? 2 : 1;
  }

  async #fetchRows(answer: Answer, place: number): Promise<{ rows: Float32Array; done: number }> {
    const index = answer.layout.pictures[place];
    const unit = answer.layout.units[place];
    const image = index === undefined ? undefined : answer.images[index];
    const { pictures } = this.#parts;
    if (pictures === undefined || image === undefined || index === undefined || typeof unit !== "object") {
      throw new MullError("internal", "A picture has no encoder.");
    }
    const total = answer.images.length;
    answer.emit({ type: "progress", stage: "encode", completed: index, total });
    const started = performance.now();
    const { rows, facts } = await pictures.rows(unit, image, answer);
    const took = performance.now() - started;
    answer.timings.encodeMs += took;
    if (facts.cached) this.counters.cachedImages.rows += 1;
    else {
      this.counters.encodedImages += 1;
      this.counters.encodeSeconds += took / 1000;
    }
    tellReceipt(answer, index, facts);
    answer.emit({ type: "progress", stage: "encode", completed: index + 1, total });
    return (answer.reading = { rows, done: 0 });
  }

  /** The next rows of a picture; its unit counts as read when all are. */
  async #readRows(
    answer: Answer,
    total: number,
    reading: { rows: Float32Array; done: number },
  ): Promise<void> {
    const { content, id } = answer.sequence as NonNullable<typeof answer.sequence>;
    const count = this.#pieceLength(total - reading.done);
    const isLast = reading.done + count === total;
    const width = this.#text.embeddingLength;
    const rows = reading.rows.subarray(reading.done * width, (reading.done + count) * width);
    const endsPrompt = isLast && content.units.length + 1 === answer.layout.units.length;
    const entries = placesOf(id, content.positions + reading.done, count, endsPrompt);
    await this.#timed(count, () =>
      this.#readEntries(entries, (padded) => {
        if (padded.length === count) return this.#text.readRows(rows, padded);
        const filled = new Float32Array(padded.length * width);
        filled.set(rows);
        return this.#text.readRows(filled, padded);
      }),
    );
    this.#queue.charge(answer, count);
    reading.done += count;
    if (!isLast) return;
    answer.reading = undefined;
    content.append([answer.layout.units[content.units.length] as SequenceUnit]);
  }

  /** @returns place in the batch of the prompt's last token, or -1 */
  async #readPromptTokens(answer: Answer, units: readonly SequenceUnit[], from: number): Promise<number> {
    const { content, id } = answer.sequence as NonNullable<typeof answer.sequence>;
    const picture = units.findIndex((unit, place) => place > from && typeof unit === "object");
    const end = picture < 0 ? units.length : picture;
    const count = this.#pieceLength(end - from);
    const tokens = units.slice(from, from + count) as number[];
    const isLast = from + count === units.length;
    const entries = placesOf(id, content.positions, count, isLast);
    const wantsState = isLast && answer.goal === "state";
    if (wantsState) {
      // With states on, native code wants an output of every token.
      this.#text.yieldsStates = true;
      for (const entry of entries) entry.output = true;
    }
    try {
      await this.#timed(count, () => this.#readTokens(tokens, entries));
      if (wantsState) answer.state = this.#text.state(count - 1);
    } finally {
      if (wantsState) this.#text.yieldsStates = false;
    }
    content.append(tokens);
    this.#queue.charge(answer, count);
    return isLast ? count - 1 : -1;
  }

  /** How much to read at once: as much as fits a call, less while others wait for their next token. */
  #pieceLength(left: number): number {
    const writing = this.#live.some(({ pending }) => pending !== undefined);
    const quick = writing ? Math.max(LEAST_READ_LENGTH, this.#readRate * HOLD_UP_SECONDS) : READ_LENGTH;
    // Kernels work on four rows at a time.
    const most = 4 * Math.floor(Math.min(READ_LENGTH, quick) / 4);
    if (left <= most) return left;
    // No single row may be left over.
    return left - most === 1 ? most - 2 : most;
  }

  async #timed(count: number, read: () => Promise<void>): Promise<void> {
    const started = performance.now();
    await read();
    const rate = (1000 * count) / (performance.now() - started);
    if (count >= LEAST_READ_LENGTH) {
      this.#readRate = Number.isFinite(this.#readRate) ? 0.7 * this.#readRate + 0.3 * rate : rate;
    }
  }

  #readTokens(tokens: readonly number[], entries: readonly BatchEntry[]): Promise<void> {
    return this.#readEntries(entries, (padded) =>
      this.#text.readTokens([...tokens, ...Array<number>(padded.length - tokens.length).fill(0)], padded),
    );
  }

  /** Reads a batch; where the cache is full, finished sequences make room, the oldest first. */
  async #readEntries(
    entries: readonly BatchEntry[],
    read: (entries: readonly BatchEntry[]) => Promise<DecodeOutcome>,
  ): Promise<void> {
    const padding = this.#parts.exact && entries.length === 1 ? 1 : 0;
    const padded = [...entries, ...placesOf(PADDING_SEQUENCE, 0, padding, entries[0]?.output === true)];
    try {
      while (true) {
        const outcome = await read(padded);
        if (outcome === "done") return;
        if (outcome === "aborted") throw new MullError("aborted", "The request was cancelled.");
        if (this.kv.evict()) continue;
        if (padded.length === entries.length) {
          throw new MullError("out_of_memory", "The KV cache has no room for the next token.", {
            hint: "Ask for fewer requests at once (--parallel), or shorter ones.",
          });
        }
        padded.length = entries.length;
      }
    } finally {
      if (padding > 0) this.#text.forget(PADDING_SEQUENCE, 0);
    }
  }

  async #keepSnapshot(answer: Answer): Promise<void> {
    if (answer.sequence === undefined) return;
    await this.#parts.snapshots.keep(answer.sequence, answer.layout);
  }

  #finishPrompt(answer: Answer, last: number): void {
    if (answer.goal === "state") {
      // A prompt that ends with a picture has no token whose state could be taken.
      if (answer.state === undefined)
        throw new MullError("internal", "The prompt to embed ends with a picture.");
      return this.#end(answer);
    }
    const { content } = answer.sequence as NonNullable<typeof answer.sequence>;
    const room = this.#text.contextLength - content.positions;
    const history = content.units.filter((unit) => typeof unit === "number");
    answer.generation = new Generation(this.#text, {
      ...answer.goal,
      history,
      limit: Math.min(room, answer.goal.limit),
    });
    answer.generatingSince = performance.now();
    this.#choose(answer, last);
  }

  #end(answer: Answer, error?: unknown): void {
    const place = this.#live.indexOf(answer);
    if (place < 0) return;
    this.#live.splice(place, 1);
    this.#queue.leave(answer);
    if (answer.sequence !== undefined) this.kv.finish(answer.sequence);
    if (error === undefined) answer.settle.resolve();
    else answer.settle.reject(error);
  }
}

/** Whether one is about to read a beginning that another wants as well, and is not there yet. */
function isAhead(leader: Answer, follower: Answer): boolean {
  if (leader.tenant !== follower.tenant || leader.sequence === undefined || follower.prefixKnown)
    return false;
  const shared = sharedUnits(leader.layout.units, follower.layout.units.slice(0, -1));
  // A few common words at the beginning are read sooner than waited for.
  if (positionsOf(leader.layout.units.slice(0, shared)) < READ_LENGTH) return false;
  return leader.sequence.content.units.length < shared;
}

function placesOf(sequence: number, position: number, count: number, output: boolean): BatchEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    sequence,
    position: position + index,
    output: output && index === count - 1,
  }));
}
