import { constants } from "node:fs";
import { posix } from "node:path";
import type { FileStats, FileSystem, FolderEntry, StoreFile } from "../../src/store/disk/file-system.ts";
import { systemError } from "./watched-file-system.ts";

interface FileNode {
  kind: "file";
  id: bigint;
  links: number;
  data: Buffer;
  /** What was synced. */
  durable: Buffer;
  modified: bigint;
  changed: bigint;
}

interface FolderNode {
  kind: "folder";
  id: bigint;
  entries: Map<string, Node>;
  /** What was synced. */
  durable: Map<string, Node>;
  modified: bigint;
  changed: bigint;
}

type Node = FileNode | FolderNode;

/** Numbers from 0 to 1 that decide what the power cut spares. */
export type Chance = () => number;

const FIRST_TIME = 1_700_000_000_000_000_000n;
const MILLISECOND = 1_000_000n;

/**
 * A disk in memory that knows what a power cut may leave: names that were not synced with their folder are there or
 * not, each for itself; bytes that were not synced are there, are cut off, or are zeros. Every call takes a
 * millisecond. Absolute paths with "/".
 */
export class MemoryDisk {
  #root: FolderNode;
  #time = FIRST_TIME;
  #lastId = 1n;
  readonly fs: FileSystem;

  constructor() {
    this.#root = this.#newFolder();
    this.fs = this.#calls();
  }

  /** The state after a power cut: everything in it is on the disk. */
  afterPowerCut(chance: Chance): MemoryDisk {
    const disk = new MemoryDisk();
    disk.#time = this.#time + 1000n * MILLISECOND;
    disk.#lastId = this.#lastId;
    const kept = new Map<Node, Node>();
    disk.#root = keepFolder(this.#root, chance, kept);
    return disk;
  }

  /** The state as a killed process leaves it. */
  copy(): MemoryDisk {
    return this.afterPowerCut(() => 0);
  }

  exists(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  /** Paths of all files below a folder, sorted. */
  filesBelow(folder: string): string[] {
    const node = this.#find(folder);
    if (node?.kind !== "folder") return [];
    return [...node.entries]
      .flatMap(([name, child]) => {
        const path = posix.join(folder, name);
        return child.kind === "file" ? [path] : this.filesBelow(path);
      })
      .sort();
  }

  readFile(path: string): Uint8Array {
    return Buffer.from(this.#file(path, "read").data);
  }

  /** What somebody else does who writes into a file that is there, or into a new one. */
  overwrite(path: string, bytes: Uint8Array): void {
    const node = this.#find(path) ?? this.#newFile();
    if (node.kind !== "file") throw systemError("EISDIR", "write");
    node.data = Buffer.from(bytes);
    node.modified = node.changed = this.#tick();
    this.#folder(posix.dirname(path), "open").entries.set(posix.basename(path), node);
  }

  removeTree(path: string): void {
    const parent = this.#find(posix.dirname(path));
    if (parent?.kind === "folder") parent.entries.delete(posix.basename(path));
  }

  #calls(): FileSystem {
    return {
      open: async (path, flags) => this.#open(path, flags),
      stat: async (path) => statsOf(this.#existing(path, "stat")),
      lstat: async (path) => statsOf(this.#existing(path, "lstat")),
      mkdir: async (path) => this.#add(path, this.#newFolder(), "mkdir"),
      readdir: async (path) => entriesOf(this.#folder(path, "readdir")),
      readdirSync: (path) => entriesOf(this.#folder(path, "readdir")),
      readFileSync: (path, mostBytes) => {
        const node = this.#file(path, "open");
        return { bytes: Buffer.from(node.data.subarray(0, mostBytes)), stats: statsOf(node) };
      },
      rename: async (from, to) => this.#rename(from, to),
      link: async (from, to) => {
        const node = this.#file(from, "link");
        this.#add(to, node, "link");
        node.links += 1;
        node.changed = this.#tick();
      },
      clone: async () => {
        throw systemError("EOPNOTSUPP", "copyfile");
      },
      unlink: async (path) => {
        const node = this.#file(path, "unlink");
        this.#folder(posix.dirname(path), "unlink").entries.delete(posix.basename(path));
        node.links -= 1;
        node.changed = this.#tick();
      },
      rmdir: async (path) => {
        if (this.#folder(path, "rmdir").entries.size > 0) throw systemError("ENOTEMPTY", "rmdir");
        this.#folder(posix.dirname(path), "rmdir").entries.delete(posix.basename(path));
      },
      realpath: async (path) => {
        this.#existing(path, "realpath");
        return path;
      },
      utimes: async (path, _accessed, modified) => {
        const node = this.#existing(path, "utimes");
        node.modified = BigInt(Math.round(modified * 1000)) * MILLISECOND;
        node.changed = this.#tick();
      },
      statfs: async () => ({ bavail: 1n << 40n, bsize: 4096n }),
    };
  }

  #open(path: string, flags: number): StoreFile {
    let node = this.#find(path);
    if (node === undefined) {
      if ((flags & constants.O_CREAT) === 0) throw systemError("ENOENT", `open ${path}`);
      node = this.#newFile();
      this.#add(path, node, "open");
    } else if ((flags & constants.O_EXCL) !== 0) throw systemError("EEXIST", `open ${path}`);
    const opened = node;
    return {
      read: async (buffer, offset, length, position) => {
        if (opened.kind !== "file") throw systemError("EISDIR", "read");
        const piece = opened.data.subarray(position, position + length);
        buffer.set(piece, offset);
        return { bytesRead: piece.length };
      },
      write: async (buffer, offset, length, position) => {
        if (opened.kind !== "file") throw systemError("EISDIR", "write");
        const data = Buffer.alloc(Math.max(opened.data.length, position + length));
        opened.data.copy(data);
        data.set(buffer.subarray(offset, offset + length), position);
        opened.data = data;
        opened.modified = opened.changed = this.#tick();
        return { bytesWritten: length };
      },
      stat: async () => statsOf(opened),
      sync: async () => {
        if (opened.kind === "file") opened.durable = opened.data;
        else opened.durable = new Map(opened.entries);
      },
      close: async () => {},
    };
  }

  #rename(from: string, to: string): void {
    const node = this.#existing(from, "rename");
    const target = this.#find(to);
    if (target === node) return;
    if (target?.kind === "folder") throw systemError("EISDIR", "rename");
    if (target !== undefined) target.links -= 1;
    const place = this.#folder(posix.dirname(to), "rename");
    this.#folder(posix.dirname(from), "rename").entries.delete(posix.basename(from));
    place.entries.set(posix.basename(to), node);
    node.changed = this.#tick();
  }

  #add(path: string, node: Node, call: string): void {
    const { entries } = this.#folder(posix.dirname(path), call);
    if (entries.has(posix.basename(path))) throw systemError("EEXIST", `${call} ${path}`);
    entries.set(posix.basename(path), node);
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const part of path.split("/").filter((name) => name !== "")) {
      node = node?.kind === "folder" ? node.entries.get(part) : undefined;
    }
    return node;
  }

  #existing(path: string, call: string): Node {
    const node = this.#find(path);
    if (node === undefined) throw systemError("ENOENT", `${call} ${path}`);
    return node;
  }

  #file(path: string, call: string): FileNode {
    const node = this.#existing(path, call);
    if (node.kind !== "file") throw systemError("EISDIR", `${call} ${path}`);
    return node;
  }

  #folder(path: string, call: string): FolderNode {
    const node = this.#existing(path, call);
    if (node.kind !== "folder") throw systemError("ENOTDIR", `${call} ${path}`);
    return node;
  }

  #newFile(): FileNode {
    const [id, time] = [(this.#lastId += 1n), this.#tick()];
    const [data, durable] = [Buffer.alloc(0), Buffer.alloc(0)];
    return { kind: "file", id, links: 1, data, durable, modified: time, changed: time };
  }

  #newFolder(): FolderNode {
    const [id, time] = [(this.#lastId += 1n), this.#tick()];
    return {
      kind: "folder",
      id,
      entries: new Map(),
      durable: new Map(),
      modified: time,
      changed: time,
    };
  }

  #tick(): bigint {
    return (this.#time += MILLISECOND);
  }
}

/** A name that was added, removed or replaced since is as it was or as it is, whichever falls. */
function keepFolder(folder: FolderNode, chance: Chance, kept: Map<Node, Node>): FolderNode {
  const entries = new Map<string, Node>();
  for (const name of new Set([...folder.durable.keys(), ...folder.entries.keys()])) {
    const [before, now] = [folder.durable.get(name), folder.entries.get(name)];
    const node = before !== now && chance() >= 0.5 ? before : now;
    if (node !== undefined) entries.set(name, keep(node, chance, kept));
  }
  return { ...folder, entries, durable: new Map(entries) };
}

function keep(node: Node, chance: Chance, kept: Map<Node, Node>): Node {
  const known = kept.get(node);
  if (known !== undefined) return known;
  let copy: Node;
  if (node.kind === "folder") copy = keepFolder(node, chance, kept);
  else {
    const data = node.data.equals(node.durable) ? node.data : keepBytes(node, chance());
    copy = { ...node, data, durable: data };
  }
  kept.set(node, copy);
  return copy;
}

function keepBytes({ data, durable }: FileNode, chance: number): Buffer {
  if (chance < 0.25) return data;
  if (chance < 0.5) return Buffer.alloc(data.length);
  if (chance < 0.75) return data.subarray(0, Math.floor(data.length / 2));
  return durable;
}

function statsOf(node: Node): FileStats {
  return {
    size: BigInt(node.kind === "file" ? node.data.length : node.entries.size),
    ino: node.id,
    dev: 7n,
    nlink: BigInt(node.kind === "file" ? node.links : 1),
    mtimeNs: node.modified,
    ctimeNs: node.changed,
    isFile: () => node.kind === "file",
    isDirectory: () => node.kind === "folder",
    isSymbolicLink: () => false,
  };
}

function entriesOf(folder: FolderNode): readonly FolderEntry[] {
  return [...folder.entries].map(([name, node]) => ({
    name,
    isFile: () => node.kind === "file",
    isDirectory: () => node.kind === "folder",
    isSymbolicLink: () => false,
  }));
}
