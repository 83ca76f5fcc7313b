import { join } from "node:path";
import { type Claims, claimSuffix } from "./claims.ts";
import { makeFolder, openNewFile } from "./durable-files.ts";
import { type FileSystem, ifThere } from "./file-system.ts";

import { removeTree } from "./remove-tree.ts";

export const TEMPORARY = "temporary";

/** Files in `partial/` that belong to a living process: each has a claim of the same name. */
export class TemporaryFiles {
  readonly #fs: FileSystem;
  readonly #folder: string;
  readonly #claims: Claims;

  constructor(fs: FileSystem, folder: string, claims: Claims) {
    this.#fs = fs;
    this.#folder = folder;
    this.#claims = claims;
  }

  /** The path of a new, empty file. Its claim is dropped by `release`, or some time after the file is gone. */
  async create(): Promise<string> {
    const path = await this.reserve();
    try {
      const file = await openNewFile(this.#fs, path);
      await file.close().catch(() => {});
      return path;
    } catch (error) {
      await this.remove(path);
      throw error;
    }
  }

  /** A path at which there is nothing yet. */
  async reserve(): Promise<string> {
    const name = `${TEMPORARY}.${claimSuffix()}`;
    const path = join(this.#folder, name);
    let seen = false;
    await this.#claims.hold(name, async () => {
      const isThere = (await ifThere(this.#fs.lstat(path))) !== undefined;
      const needed = isThere || !seen;
      seen ||= isThere;
      return needed;
    });
    return path;
  }

  /** Gives the path to `work`, and removes what is there afterwards. */
  async use<T>(work: (path: string) => Promise<T>): Promise<T> {
    const path = await this.reserve();
    try {
      return await work(path);
    } finally {
      await this.remove(path);
    }
  }

  /** The path of a new, empty folder. */
  async createFolder(): Promise<string> {
    const path = await this.reserve();
    try {
      await makeFolder(this.#fs, this.#folder);
      await this.#fs.mkdir(path);
      return path;
    } catch (error) {
      await this.remove(path);
      throw error;
    }
  }

  /** A file, or a folder with all that is in it. Never fails: what stays is removed by a prune. */
  async remove(path: string): Promise<void> {
    await removeTree(this.#fs, path).catch(() => removeTree(this.#fs, path).catch(() => {}));
    await this.release(path);
  }

  /** The file is not there any more, or not a temporary one. */
  async release(path: string): Promise<void> {
    const name = path.slice(this.#folder.length + 1);
    if (name.startsWith(`${TEMPORARY}.`)) await this.#claims.drop(name);
  }
}
