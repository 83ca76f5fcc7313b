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
}

/** The longest beginning of a prompt that is already there. */
export interface KnownPrefix {
  source: KvSequence;
  units: number;
  positions: number;
}

/** The sequence that fills up batches; nothing of it is ever kept. */
export const PADDING_SEQUENCE: number = MOST_SEQUENCES - 1;

/** Finished sequences that are kept at least, for whoever asks next about the same. */
const LEAST_RETAINED = 8;

/**
 * All sequences of a model: live ones that answers work on, and finished ones that are kept because the next prompt
 * may begin like them (RadixAttention's idea, arXiv 2312.07104, over a list instead of a tree: there are few).
 * The KV cache is one; a sequence that begins like another shares its cells, and nothing is copied.
 */
export class KvCache {
  readonly #text: TextModel;
  readonly #freeIds: number[] = Array.from(
    { length: PADDING_SEQUENCE },
    (_, id) => PADDING_SEQUENCE - 1 - id,
  );
  readonly #live = new Set<KvSequence>();
  /** Least recently finished first. */
  #retained: KvSequence[] = [];

  constructor(text: TextModel) {
    this.#text = text;
  }

  /** An empty live sequence. */
  open(tenant: string): KvSequence {
    if (this.#freeIds.length === 0) this.evict();
    const id = this.#freeIds.pop() as number;
    const sequence: KvSequence = { id, tenant, content: new Sequence() };
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
    // Used again: stays longer.
    const place = this.#retained.indexOf(source);
    if (place >= 0) this.#retained.push(...this.#retained.splice(place, 1));
  }

  /** Cuts what native code holds beyond the content: a batch that failed or was given up may have left something. */
  trim(sequence: KvSequence): void {
    if (!this.#text.forget(sequence.id, sequence.content.positions)) sequence.content.clear();
  }

  clear(sequence: KvSequence): void {
    this.#text.forget(sequence.id, 0);
    sequence.content.clear();
  }

  /** The answer is over; what was read is kept for others until there is no room. */
  finish(sequence: KvSequence): void {
    this.#live.delete(sequence);
    this.trim(sequence);
    const { units } = sequence.content;
    // One that another begins with is there twice.
    for (const other of [...this.#retained]) {
      const shared = sharedUnits(other.content.units, units);
      if (other.tenant === sequence.tenant && shared === other.content.units.length) this.#drop(other);
    }
    this.#retained.push(sequence);
    const most = Math.max(LEAST_RETAINED, this.#text.parallel);
    while (this.#retained.length > most || this.usedCells > this.#text.cells) if (!this.evict()) break;
  }

  /** Gives up the finished sequence that was used longest ago. False: there is none. */
  evict(): boolean {
    const [oldest] = this.#retained;
    if (oldest === undefined) return false;
    this.#drop(oldest);
    return true;
  }

  /** Cells in use. Shared beginnings count once. */
  get usedCells(): number {
    const all = [...this.#live, ...this.#retained];
    return all.reduce((sum, { content }, place) => {
      const known = all
        .slice(0, place)
        .map((other) => sharedUnits(other.content.units, content.units))
        .reduce((most, units) => Math.max(most, units), 0);
      return sum + positionsOf(content.units.slice(known));
    }, 0);
  }

  #drop(sequence: KvSequence): void {
    this.#retained = this.#retained.filter((other) => other !== sequence);
    this.clear(sequence);
    this.#freeIds.push(sequence.id);
  }
}
