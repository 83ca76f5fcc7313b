import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { READ_OWN_FILE, openNewFile, removeFile } from "./durable-files.ts";
import { errorCode, type FileSystem, ifThere } from "./file-system.ts";
import { type Liveness, livenessOf, ownIdentity, type ProcessIdentity } from "./process-identity.ts";

export interface ClaimTimes {
  /** How often who holds a claim shows that it lives. */
  beatMs: number;
  /** Whose claim stands still so long, and cannot be judged otherwise, is taken for dead. */
  staleMs: number;
}

const TIMES: ClaimTimes = { beatMs: 1000, staleMs: 15_000 };

/**
 * Files in `locks/` that say what living processes do: `<what>.<process>-<random>`. The name says it all, so that a claim
 * is there or not and never half; and no name is used twice, so that who removes a dead one's cannot hit another's.
 *
 * On the same machine the process itself tells whether it lives. Elsewhere its claims must move: their modification
 * time is a counter, no time, and is watched with the watcher's own monotonic clock. Setting clocks changes nothing.
 */
export class Claims {
  readonly #fs: FileSystem;
  readonly #folder: string;
  readonly #times: ClaimTimes;
  /** Ours, each with whether it is still needed. */
  readonly #held = new Map<string, (() => Promise<boolean>) | undefined>();
  /** Ours that could not be removed yet. */
  readonly #undropped = new Set<string>();
  readonly #watched = new Map<string, { beat: string; since: number; moved: boolean }>();
  #timer: NodeJS.Timeout | undefined;
  #counter = 1;

  constructor(fs: FileSystem, folder: string, times: ClaimTimes = TIMES) {
    this.#fs = fs;
    this.#folder = folder;
    this.#times = times;
  }

  path(name: string): string {
    return join(this.#folder, name);
  }

  /** @param isNeeded asked from time to time; a claim that is not needed any more is dropped */
  async hold(name: string, isNeeded?: () => Promise<boolean>): Promise<void> {
    const file = await openNewFile(this.#fs, this.path(name));
    this.#held.set(name, isNeeded);
    this.#timer ??= setInterval(() => void this.#beat(), this.#times.beatMs).unref();
    // Nothing was written: that it could not be closed does not matter.
    await file.close().catch(() => {});
  }

  /** Never fails: what cannot be removed now is tried again while this process lives. */
  async drop(name: string): Promise<void> {
    this.#held.delete(name);
    await this.#remove(name)
      .catch(() => this.#remove(name))
      .catch(() => this.#undropped.add(name));
    this.#rest();
  }

  /** Whether a claim of ours still stands. Who stood still for too long may have been taken for dead. */
  async stands(name: string): Promise<boolean> {
    return (await ifThere(this.#fs.lstat(this.path(name)))) !== undefined;
  }

  /** Names of all claims of that kind, dead ones included. */
  async list(kind: string): Promise<string[]> {
    const entries = (await ifThere(this.#fs.readdir(this.#folder))) ?? [];
    // Folders and links are nobody's claims, and nobody's to wait for.
    return entries
      .filter((entry) => entry.isFile() && entry.name.startsWith(`${kind}.`))
      .map(({ name }) => name);
  }

  /** "unknown" may turn into either when asked again later. */
  async liveness(name: string): Promise<Liveness> {
    if (this.#held.has(name)) return "alive";
    if (this.#undropped.has(name)) return "dead";
    const identity = identityIn(name);
    const known = identity === undefined ? "unknown" : livenessOf(identity);
    return known === "unknown" ? this.#watch(name) : known;
  }

  /** Like `liveness`, until it is known: at most as long as a claim may stand still. */
  async settledLiveness(name: string): Promise<"alive" | "dead"> {
    for (;;) {
      const liveness = await this.liveness(name);
      if (liveness !== "unknown") return liveness;
      await new Promise((resolve) => setTimeout(resolve, this.#times.beatMs / 4));
    }
  }

  /** Removes a dead process's claim. */
  async bury(name: string): Promise<void> {
    this.#watched.delete(name);
    await this.#remove(name).catch(() => {});
  }

  async #watch(name: string): Promise<Liveness> {
    const beat = await this.#readBeat(name);
    if (beat === undefined) {
      this.#watched.delete(name);
      return "dead";
    }
    const now = performance.now();
    const last = this.#watched.get(name);
    if (last?.beat !== beat) {
      this.#watched.set(name, { beat, since: now, moved: last !== undefined });
      return last === undefined ? "unknown" : "alive";
    }
    if (now - last.since < this.#times.staleMs) return last.moved ? "alive" : "unknown";
    return "dead";
  }

  /** Opened, because network file systems look again at what is opened. Undefined: it is gone, or no file. */
  async #readBeat(name: string): Promise<string | undefined> {
    const file = await ifThere(this.#fs.open(this.path(name), READ_OWN_FILE)).catch((error: unknown) => {
      if (["ELOOP", "EMLINK"].includes(errorCode(error))) return undefined;
      throw error;
    });
    if (file === undefined) return undefined;
    try {
      const stats = await file.stat();
      return stats.isFile() ? `${stats.mtimeNs} ${stats.size}` : undefined;
    } finally {
      await file.close().catch(() => {});
    }
  }

  async #beat(): Promise<void> {
    const counter = (this.#counter += 1);
    for (const [name, isNeeded] of this.#held) {
      try {
        if (isNeeded !== undefined && !(await isNeeded())) await this.drop(name);
        else await this.#fs.utimes(this.path(name), counter, counter);
      } catch {
        continue;
      }
    }
    for (const name of this.#undropped) {
      await this.#remove(name).then(
        () => this.#undropped.delete(name),
        () => {},
      );
    }
    this.#rest();
  }

  #rest(): void {
    if (this.#held.size + this.#undropped.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #remove(name: string): Promise<void> {
    await removeFile(this.#fs, this.path(name)).catch((error: unknown) => {
      if (errorCode(error) !== "EISDIR") throw error;
    });
  }
}

/** The end of a name that no other claim has or had. */
export function claimSuffix(): string {
  const { machine, pid, start } = ownIdentity();
  return `${machine}-${pid}-${start}-${randomBytes(8).toString("hex")}`;
}

const SUFFIX = /\.([0-9a-f]{16})-(\d{1,10})-(\d{1,20})-[0-9a-f]{16}$/;

function identityIn(name: string): ProcessIdentity | undefined {
  const [, machine, pid, start] = SUFFIX.exec(name) ?? [];
  if (machine === undefined || pid === undefined || start === undefined) return undefined;
  return { machine, pid: Number(pid), start };
}
