import { MullError } from "../spec/errors.ts";
import type { Answer, AnswerRequest } from "./answer.ts";
import { BatchReader } from "./batch-reader.ts";
import { FairQueue } from "./fair-queue.ts";
import { Generation } from "./generation.ts";
import { KvCache } from "./kv-cache.ts";
import type { PictureRows } from "./picture-rows.ts";
import type { PrefixSnapshots } from "./prefix-snapshots.ts";
import { PromptReader, READ_LENGTH } from "./prompt-reader.ts";
import { type SchedulerCounters, newCounters } from "./scheduler-counters.ts";
import { cellsOf, sharedUnits } from "./sequence.ts";
import type { TextModel } from "./text-model.ts";

export interface SchedulerParts {
  text: TextModel;
  pictures: PictureRows | undefined;
  snapshots: PrefixSnapshots;
  /**
   * Whether greedy answers must be the same bit by bit, whatever runs beside them and whatever is cached. Costs a second
   * row in batches of one and pauses to make room, so it is for small models.
   */
  exact: boolean;
  /** Whether all rows of a part of a picture see each other, and are read in one piece. */
  together: boolean;
}

/**
 * Continuous batching: one step after the other, a token for every answer that is being written in one batch, then a
 * piece of a prompt. New requests join between steps; a finished one leaves its place at once. One prompt is read at a
 * time, in pieces short enough that answers keep flowing; whose turn it is goes by what each client got so far.
 */
export class Scheduler {
  readonly counters: SchedulerCounters = newCounters();
  readonly kv: KvCache;
  readonly #text: TextModel;
  readonly #batches: BatchReader;
  readonly #prompts: PromptReader;
  readonly #queue = new FairQueue<Answer>();
  /** In the order in which they were let in. */
  readonly #live: Answer[] = [];
  /** Those whose tokens are in the batch that runs now. */
  #inBatch: readonly Answer[] = [];
  #looping = false;

  constructor(parts: SchedulerParts) {
    const { text, exact } = parts;
    this.#text = text;
    this.kv = new KvCache(text, exact);
    this.#batches = new BatchReader(text, this.kv, exact);
    this.#prompts = new PromptReader({
      ...parts,
      kv: this.kv,
      batches: this.#batches,
      counters: this.counters,
    });
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
        await this.kv.reset(next.client, next.layout.units);
      }
      const answer = this.#queue.shift();
      if (answer === undefined) return;
      answer.timings.queueMs = performance.now() - answer.submittedAt;
      answer.sequence = this.kv.open(answer.client);
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
    await this.#batches.readTokens(tokens, entries);
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
    const othersWait = this.#live.some(({ pending }) => pending !== undefined);
    const { rows, last } = await this.#prompts.read(answer, othersWait);
    this.#queue.charge(answer, rows);
    if (last !== undefined) this.#finishPrompt(answer, last);
  }

  #finishPrompt(answer: Answer, last: number): void {
    if (answer.goal === "state") {
      // A prompt that ends with a picture has no token whose state could be taken.
      if (answer.state === undefined)
        throw new MullError("internal", "The prompt to embed ends with a picture.");
      return this.#end(answer);
    }
    const { content } = answer.sequence as NonNullable<typeof answer.sequence>;
    const room = this.#text.contextLength - content.cells;
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
  if (leader.client !== follower.client || leader.sequence === undefined || follower.prefixKnown)
    return false;
  const shared = sharedUnits(leader.layout.units, follower.layout.units.slice(0, -1));
  // A few common words at the beginning are read sooner than waited for.
  if (cellsOf(leader.layout.units.slice(0, shared)) < READ_LENGTH) return false;
  return leader.sequence.content.units.length < shared;
}
