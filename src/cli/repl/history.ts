import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

const KEPT_ENTRIES = 1000;

/**
 * Lines that were sent, in this session and earlier ones. Kept in a file that only its owner can read; where that
 * is not possible, kept in memory.
 */
export class History {
  /** `/set nohistory` turns recording off. */
  enabled = true;
  readonly #path: string | undefined;
  readonly #entries: string[];
  /** Place while leafing: `#entries.length` is the line being typed. */
  #place: number;
  #draft = "";

  constructor(path: string | undefined) {
    this.#path = path;
    this.#entries = path === undefined ? [] : readEntries(path);
    this.#place = this.#entries.length;
  }

  add(line: string): void {
    if (this.enabled && line.trim() !== "" && line !== this.#entries.at(-1)) {
      this.#entries.push(line);
      if (this.#path !== undefined) appendEntry(this.#path, line);
    }
    this.#place = this.#entries.length;
    this.#draft = "";
  }

  /** The entry before; the typed line is put aside. Undefined at the oldest. */
  previous(typed: string): string | undefined {
    if (this.#place === 0) return undefined;
    if (this.#place === this.#entries.length) this.#draft = typed;
    return this.#entries[--this.#place];
  }

  /** The entry after; after the newest, the line that was put aside. Undefined at the end. */
  next(): string | undefined {
    if (this.#place === this.#entries.length) return undefined;
    this.#place += 1;
    return this.#entries[this.#place] ?? this.#draft;
  }
}

export function historyPath(env: NodeJS.ProcessEnv): string {
  const configured = env["XDG_STATE_HOME"];
  const state = configured === undefined || configured === "" ? undefined : configured;
  return join(state ?? join(env["HOME"] ?? homedir(), ".local", "state"), "mull", "history");
}

function readEntries(path: string): string[] {
  let lines: string[];
  try {
    lines = readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
  const kept = lines.slice(-KEPT_ENTRIES);
  if (lines.length > 2 * KEPT_ENTRIES)
    tryWrite(() => writeFileSync(path, `${kept.join("\n")}\n`, { mode: 0o600 }));
  return kept.map(decode);
}

function appendEntry(path: string, line: string): void {
  tryWrite(() => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    appendFileSync(path, `${encode(line)}\n`, { mode: 0o600 });
  });
}

/** A history that cannot be written is no reason to disturb a conversation. */
function tryWrite(write: () => void): void {
  try {
    write();
  } catch {
    // The entries stay in memory.
  }
}

/** One entry per line of the file, whatever is in it. */
function encode(line: string): string {
  return line.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function decode(line: string): string {
  return line.replaceAll(/\\([\\n])/g, (_, escaped: string) => (escaped === "n" ? "\n" : "\\"));
}
