import { isUtf8 } from "node:buffer";
import { constants } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { invalidModel } from "../../../gguf/invalid-model.ts";
import { MullError } from "../../../spec/errors.ts";
import { type JsonObject, objectAt } from "./json-values.ts";

const MEGABYTE = 2 ** 20;
/** Largest files that are read; the largest vocabularies there are take a quarter of it. */
const MAX_VOCABULARY_BYTES = 128 * MEGABYTE;
const MAX_SETTINGS_BYTES = 16 * MEGABYTE;
const MAX_FOLDER_ENTRIES = 1000;

/** A JSON file and where it lies, which is the first half of every message about it. */
export interface JsonFile {
  readonly path: string;
  readonly root: JsonObject;
}

/** The small files of a Hugging Face model folder. Each may be absent; none may be large. */
export class ModelFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Undefined if there is no such file. */
  async bytes(name: string): Promise<{ path: string; bytes: Uint8Array } | undefined> {
    const path = join(this.path, name);
    const bytes = await readBounded(path, MAX_VOCABULARY_BYTES);
    return bytes && { path, bytes };
  }

  async text(name: string, maxBytes: number = MAX_SETTINGS_BYTES): Promise<string | undefined> {
    const path = join(this.path, name);
    const bytes = await readBounded(path, maxBytes);
    if (bytes === undefined) return undefined;
    if (!isUtf8(bytes)) throw invalidModel(path, "the file is not UTF-8 text");
    return bytes.toString("utf8");
  }

  /** A vocabulary; settings are read by `settings`. */
  async vocabulary(name: string): Promise<JsonFile | undefined> {
    return this.#json(name, MAX_VOCABULARY_BYTES);
  }

  /** An absent file is an empty object. */
  async settings(name: string): Promise<JsonFile> {
    return (await this.#json(name, MAX_SETTINGS_BYTES)) ?? { path: join(this.path, name), root: {} };
  }

  /** Names of the files in a folder of this folder, sorted; none if there is no such folder. */
  async list(name: string): Promise<string[]> {
    const path = join(this.path, name);
    const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
      throw unreadable(path, error);
    });
    if (names.length > MAX_FOLDER_ENTRIES) throw invalidModel(path, `the folder holds ${names.length} files`);
    return names.sort((a, b) => (a < b ? -1 : 1));
  }

  async #json(name: string, maxBytes: number): Promise<JsonFile | undefined> {
    const text = await this.text(name, maxBytes);
    if (text === undefined) return undefined;
    const path = join(this.path, name);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw invalidModel(path, text.trim() === "" ? "the file is empty" : "the file is not JSON");
    }
    return { path, root: objectAt(path, "the file", value) };
  }
}

async function readBounded(path: string, maxBytes: number): Promise<Buffer | undefined> {
  let handle: FileHandle;
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw unreadable(path, error as NodeJS.ErrnoException);
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw invalidModel(path, "this is not a regular file");
    if (stats.size > maxBytes) {
      throw invalidModel(
        path,
        `the file has ${stats.size} bytes; at most ${maxBytes / MEGABYTE} MB are read`,
      );
    }
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

function unreadable(path: string, cause: NodeJS.ErrnoException): MullError {
  return new MullError("model_not_found", `${path}: cannot be read (${cause.code})`, { cause });
}
