import { createHash } from "node:crypto";
import { tooLarge } from "../media/read-local-file.ts";
import type { MediaStore, StoredMedia } from "./media-store.ts";

export interface MemoryMediaStoreOptions {
  /** All uploads of all clients. Default 256 MiB. */
  limitBytes?: number;
  /** How long an upload stays, in ms. Default 10 minutes. */
  keepMs?: number;
  /** Milliseconds since 1970. */
  now?: () => number;
}

/** How often what has expired gives its memory back. */
const SWEEP_MS = 30_000;

/** The uploads of one client, least recently used first. */
interface Shelf {
  media: Map<string, StoredMedia>;
  bytes: number;
}

/**
 * Uploaded pictures in memory. When it is full, the client who holds most loses what it has not used for longest: one
 * who uploads without end pushes out nothing but its own.
 */
export class MemoryMediaStore implements MediaStore {
  readonly #limitBytes: number;
  readonly #keepMs: number;
  readonly #now: () => number;
  readonly #shelves = new Map<string, Shelf>();
  #bytes = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: MemoryMediaStoreOptions = {}) {
    this.#limitBytes = options.limitBytes ?? 256 * 1024 ** 2;
    this.#keepMs = options.keepMs ?? 10 * 60_000;
    this.#now = options.now ?? Date.now;
  }

  /** Memory that uploads take now. */
  get bytes(): number {
    return this.#bytes;
  }

  put(client: string, bytes: Uint8Array, sha256: string = digestOf(bytes)): StoredMedia {
    if (bytes.length > this.#limitBytes) throw tooLarge("The upload", bytes.length, this.#limitBytes);
    this.sweep();
    this.#remove(client, sha256);
    while (this.#bytes + bytes.length > this.#limitBytes) this.#evict();
    const media = { sha256, bytes, expiresAt: new Date(this.#now() + this.#keepMs) };
    const shelf = this.#shelves.get(client) ?? { media: new Map(), bytes: 0 };
    this.#shelves.set(client, shelf);
    shelf.media.set(sha256, media);
    shelf.bytes += bytes.length;
    this.#bytes += bytes.length;
    this.#sweeper ??= setInterval(() => this.sweep(), SWEEP_MS).unref();
    return media;
  }

  get(client: string, sha256: string): StoredMedia | undefined {
    const shelf = this.#shelves.get(client);
    const media = shelf?.media.get(sha256);
    if (media === undefined || media.expiresAt.getTime() <= this.#now()) return undefined;
    // Used last: to the end of the line.
    shelf?.media.delete(sha256);
    shelf?.media.set(sha256, media);
    return media;
  }

  /** Forgets what has expired. */
  sweep(): void {
    const now = this.#now();
    for (const [client, { media }] of this.#shelves) {
      for (const { sha256, expiresAt } of media.values()) {
        if (expiresAt.getTime() <= now) this.#remove(client, sha256);
      }
    }
    if (this.#shelves.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #evict(): void {
    let largest: [client: string, shelf: Shelf] | undefined;
    for (const entry of this.#shelves) {
      if (largest === undefined || entry[1].bytes > largest[1].bytes) largest = entry;
    }
    const oldest = largest?.[1].media.keys().next().value;
    if (largest !== undefined && oldest !== undefined) this.#remove(largest[0], oldest);
  }

  #remove(client: string, sha256: string): void {
    const shelf = this.#shelves.get(client);
    const media = shelf?.media.get(sha256);
    if (shelf === undefined || media === undefined) return;
    shelf.media.delete(sha256);
    shelf.bytes -= media.bytes.length;
    this.#bytes -= media.bytes.length;
    if (shelf.media.size === 0) this.#shelves.delete(client);
  }
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
