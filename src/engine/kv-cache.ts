import { MOST_SEQUENCES } from "./native-batch.ts";
import { Sequence, type SequenceUnit, positionsOf, sharedUnits } from "./sequence.ts";
import type { TextModel } from "./text-model.ts";

/** A sequence of the native KV cache and what lies in it. */
export interface KvSequence {
  /** Its number in native code. */
  readonly id: number;
  /** Whose it is: only requests of the same tenant may begin with a part of it. */
  readonly tenant: string;
  readonly content: Sequence;
  /** Cells at its beginning that it shares with another. */
  shared: number;
}

/** The longest beginning of a prompt that is already there. */
export interface KnownPrefix {
  source: KvSequence;
  units: number;
  positions: number;
}

/** The sequence that fills up batches; nothing of it is ever kept. */
export const PADDING_SEQUENCE: number = MOST_SEQUENCES - 1;

/** Finished sequences that are kept for whoever asks next about the same; more if more answers run at a time. */
const MOST_RETAINED = 8;

/**
 * All sequences of a model: live ones that answers work on, and finished ones that are kept because the next prompt
 * may begin like them (RadixAttention's idea, arXiv 2312.07104, over a list instead of a tree: there are few).
 * The KV cache is one; a sequence that begins like another shares its cells, and nothing is copied.
 *
 * Native code puts new positions into the lowest free cells, and attention adds up in the order of the cells. So that an
 * answer comes out the same bit by bit whatever else was asked, `exact` frees no cell while an answer is being written:
 * every sequence then lies in the order of its positions. Room is made between answers, all at once.
 */
export class KvCache {
  readonly #text: TextModel;
  readonly #exact: boolean;
  #freeIds: number[] = allIds();
  readonly #live = new Set<KvSequence>();
  /** Least recently used first. */
  #retained: KvSequence[] = [];

  constructor(text: TextModel, exact: boolean) {
    this.#text = text;
    this.#exact = exact;
  }

  /** Cells in use, about: a shared beginning counts for the sequence that read it. */
  get usedCells(): number {
    return [...this.#live, ...this.#retained].reduce(
      (sum, { content, shared }) => sum + content.cells - shared,
      0,
    );
  }

  /** Whether another answer can begin. If not, it can when all that are being written have ended. */
  get hasRoom(): boolean {
    if (!this.#exact) return this.#freeIds.length > 0 || this.#retained.length > 0;
    const free = this.#text.cells - this.usedCells;
    return this.#freeIds.length > 0 && free >= this.#text.contextLength;
  }

  /** An empty live sequence. */
  open(tenant: string): KvSequence {
    if (this.#freeIds.length === 0) this.evict();
    const sequence: KvSequence = {
      id: this.#freeIds.pop() as number,
      tenant,
      content: new Sequence(),
      shared: 0,
    };
    this.#live.add(sequence);
    return sequence;
  }

  /** Over all live and finished sequences of a tenant; undefined if none begins like the prompt. */
  findPrefix(tenant: string, prompt: readonly SequenceUnit[]): KnownPrefix | undefined {
    let best: KnownPrefix | undefined;
    for (const source of [...this.#live, ...this.#retained]) {
      if (source.tenant !== tenant) continue;
      const { units: there } = source.content;
      const units = sharedUnits(there, prompt);
      // A recurrent state is of the whole sequence or of nothing.
      if (units === 0 || (!this.#text.canCut && units < there.length)) continue;
      const positions = positionsOf(prompt.slice(0, units));
      if (best === undefined || positions > best.positions) best = { source, units, positions };
    }
    return best;
  }

  /** Lets an empty live sequence begin with a known prefix. */
  adopt(sequence: KvSequence, { source, units, positions }: KnownPrefix): void {
    this.#text.share(source.id, sequence.id, positions);
    sequence.content.append(source.content.units.slice(0, units));
    sequence.shared = sequence.content.cells;
    // Used again: stays longer.
    const place = this.#retained.indexOf(source);
    if (place >= 0) this.#retained.push(...this.#retained.splice(place, 1));
  }

  clear(sequence: KvSequence): void {
    this.#text.forget(sequence.id, 0);
    sequence.content.clear();
    sequence.shared = 0;
  }

  /** The answer is over; what was read is kept for others until there is no room. */
  finish(sequence: KvSequence): void {
    this.#live.delete(sequence);
    this.#retained.push(sequence);
    if (this.#exact) return;
    // A batch that failed or was given up may have left something behind the content.
    const { content } = sequence;
    if (!this.#text.forget(sequence.id, content.positions)) content.clear();
    // One that this one begins with is there twice.
    for (const other of this.#retained.slice(0, -1)) {
      const shared = sharedUnits(other.content.units, content.units);
      if (other.tenant === sequence.tenant && shared === other.content.units.length) this.#drop(other);
    }
    while (this.#retained.length > Math.max(MOST_RETAINED, this.#text.parallel)) this.evict();
  }

  /** Gives up the finished sequence that was used longest ago. False: there is none. */
  evict(): boolean {
    const [oldest] = this.#retained;
    if (oldest === undefined) return false;
    this.#drop(oldest);
    return true;
  }

  /** Forgets everything but the beginning of the prompt that comes next. Nothing may be live. */
  async reset(tenant: string, prompt: readonly SequenceUnit[]): Promise<void> {
    const source = this.findPrefix(tenant, prompt)?.source;
    const state = source === undefined ? undefined : await this.#text.save(source.id);
    this.#text.clear();
    this.#freeIds = allIds();
    this.#retained = [];
    if (source === undefined || state === undefined) return;
    const kept = this.open(tenant);
    this.#live.delete(kept);
    if (!(await this.#text.restore(kept.id, state))) return void this.#freeIds.push(kept.id);
    kept.content.append(source.content.units);
    this.#retained.push(kept);
    // What a cancelled request left behind its content came along.
    this.#text.forget(kept.id, kept.content.positions);
  }

  #drop(sequence: KvSequence): void {
    this.#retained = this.#retained.filter((other) => other !== sequence);
    this.clear(sequence);
    this.#freeIds.push(sequence.id);
  }
}

/** Lowest at the end, where they are taken from. */
function allIds(): number[] {
  return Array.from({ length: PADDING_SEQUENCE }, (_, id) => PADDING_SEQUENCE - 1 - id);
}
