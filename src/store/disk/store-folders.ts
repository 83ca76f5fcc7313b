import { dirname } from "node:path";
import { makeFolder, syncFolder } from "./durable-files.ts";
import { type FileSystem, ifThere } from "./file-system.ts";

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
    for (let child = folder; child.length >= this.#root.length; child = dirname(child)) {
      await syncFolder(this.#fs, dirname(child));
    }
    this.#durable.add(folder);
  }

  forget(folder: string): void {
    this.#durable.delete(folder);
  }
}
