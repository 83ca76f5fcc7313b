import type { CacheClient } from "../cache/cache-client.ts";
import {
  type CacheKey,
  type PrefixUnit,
  type SnapshotKeyFields,
  pictureBoundaryKeys,
} from "../cache/cache-key.ts";
import type { CacheIdentity, FileDigests } from "./cache-identity.ts";
import type { KvCache, KvSequence } from "./kv-cache.ts";
import type { PictureRows } from "./picture-rows.ts";
import type { PromptLayout } from "./prompt-layout.ts";
import { lastPosition, positionsOf } from "./sequence.ts";
import type { TextModel } from "./text-model.ts";

/** A state larger than this costs more to write than it is likely to save. */
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * KV states on disk of prompts up to a picture: a question about the same picture after a restart needs neither the
 * encoder nor the prompt before the question.
 */
export class PrefixSnapshots {
  readonly #text: TextModel;
  readonly #pictures: PictureRows | undefined;
  readonly #cache: CacheClient;
  readonly #identity: CacheIdentity;
  /** Those that were written or read: they need not be looked for before writing. */
  readonly #known = new Set<CacheKey>();

  constructor(
    text: TextModel,
    pictures: PictureRows | undefined,
    cache: CacheClient,
    identity: CacheIdentity,
  ) {
    this.#text = text;
    this.#pictures = pictures;
    this.#cache = cache;
    this.#identity = identity;
  }

  /**
   * Fills an empty sequence with the longest beginning of a prompt that is on disk, if it is longer than what is
   * known already.
   */
  async restore(kv: KvCache, sequence: KvSequence, layout: PromptLayout, known: number): Promise<boolean> {
    const lastPicture = layout.pictures.findLastIndex((picture) => picture !== undefined);
    if (lastPicture < 0 || positionsOf(layout.units.slice(0, lastPicture + 1)) <= known) return false;
    const digests = await this.#identity.digests();
    if (digests === undefined) return false;
    const candidates = (await this.#keys(layout, sequence.tenant, digests)).filter(
      // The last unit must be read: its logits are needed.
      ({ units }) => units < layout.units.length && positionsOf(layout.units.slice(0, units)) > known,
    );
    const key = await this.#cache.has(candidates.map((candidate) => candidate.key));
    const found = candidates.find((candidate) => candidate.key === key);
    if (key === undefined || found === undefined) return false;
    const snapshot = await this.#cache.getSnapshot(key);
    if (snapshot === undefined) return false;
    while (!(await this.#text.restore(sequence.id, snapshot.state))) if (!kv.evict()) return false;
    const units = layout.units.slice(0, found.units);
    if (this.#text.positions(sequence.id) !== lastPosition(units) + 1) {
      kv.clear(sequence);
      return false;
    }
    sequence.content.append(units);
    this.#known.add(key);
    return true;
  }

  /** Writes the state of a sequence that has just read the last picture of its prompt. */
  async keep({ id, tenant, content }: KvSequence, layout: PromptLayout): Promise<void> {
    const end = content.units.length;
    if (layout.pictures.findLastIndex((picture) => picture !== undefined) !== end - 1) return;
    const digests = await this.#identity.digests();
    const key = digests === undefined ? undefined : await this.#keyOf(layout, tenant, digests, end);
    if (key !== undefined && (this.#known.has(key) || (await this.#cache.has([key])) !== undefined)) return;
    if (this.#text.stateBytes(id) > MOST_BYTES) return;
    const state = await this.#text.save(id);
    const tokens = content.cells;
    const { model } = this.#identity;
    const put = (named: CacheKey | undefined): void => {
      if (named === undefined) return;
      this.#known.add(named);
      this.#cache.putSnapshot(named, state, { model, tokens });
    };
    if (key !== undefined) return put(key);
    // The first time a large model is used, its digest comes later than its first answer.
    void this.#identity
      .finalDigests()
      .then(async (final) => (final === undefined ? undefined : this.#keyOf(layout, tenant, final, end)))
      .then(put);
  }

  async #keyOf(
    layout: PromptLayout,
    tenant: string,
    digests: FileDigests,
    units: number,
  ): Promise<CacheKey | undefined> {
    return (await this.#keys(layout, tenant, digests)).find((candidate) => candidate.units === units)?.key;
  }

  async #keys(
    layout: PromptLayout,
    tenant: string,
    digests: FileDigests,
  ): Promise<{ key: CacheKey; units: number }[]> {
    const units: PrefixUnit[] = [];
    for (const unit of layout.units) {
      if (typeof unit === "number") units.push(unit);
      else {
        const key = await this.#pictures?.diskKey(unit, tenant);
        if (key === undefined) return [];
        units.push({ key, rows: unit.rows });
      }
    }
    const fields: SnapshotKeyFields = {
      ...digests,
      keyType: "f16",
      valueType: "f16",
      layout: { unified: true, flashAttention: "auto" },
      device: this.#identity.device,
      engineBuild: this.#identity.engineBuild,
      tenant,
    };
    return pictureBoundaryKeys(fields, units);
  }
}
