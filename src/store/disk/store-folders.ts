import { dirname } from "node:path";
import { makeFolder, syncFolder } from "./durable-files.ts";
import { type FileSystem, ifThere, unlessRefused } from "./file-system.ts";

/** Folders of a store that are on the disk: also those that a process created which died before it could see to it. */
export class StoreFolders {
  readonly #fs: FileSystem;
  readonly #root: string;
  readonly #durable = new Set<string>();

  constructor(fs: FileSystem, root: string) {
    this.#fs = fs;
    this.#root = root;
  }

  /** Afterwards it is there, and stays there when the power goes. */
  async ensure(folder: string): Promise<void> {
    if (this.#durable.has(folder) && (await ifThere(this.#fs.lstat(folder))) !== undefined) return;
    await makeFolder(this.#fs, folder);
    for (let parent = dirname(folder); parent.length >= this.#root.length; parent = dirname(parent)) {
      await syncFolder(this.#fs, parent);
    }
    // Whose folder the store's lies in may not let others look into it.
    await unlessRefused(syncFolder(this.#fs, dirname(this.#root)));
    this.#durable.add(folder);
  }

  forget(folder: string): void {
    this.#durable.delete(folder);
  }
}
