import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { Gguf } from "./gguf.ts";
import { HeaderBudget, HeaderCursor } from "./header-cursor.ts";
import { describeFileKind } from "./file-kind.ts";
import { invalidModel, quote } from "./invalid-model.ts";
import { type TensorInfo, placeTensors } from "./layout.ts";
import { MullError } from "../spec/errors.ts";
import { type Header, parseHeader } from "./parse-header.ts";
import { parseSplitName, splitName } from "./split-names.ts";

const MAX_PARTS = 1_000;
const MAGIC = "GGUF";

export interface ReadGgufOptions {
  signal?: AbortSignal;
}

/**
 * Reads and checks the header of a GGUF file (versions 2 and 3, little endian); tensors are read on demand.
 * Of a split model (`name-00001-of-00003.gguf`) any part may be named; the others must lie beside it. Parts under
 * other names, such as a store's blobs, are given as a list of all of them in order.
 *
 * Whatever passes is safe to hand to native code as far as the container goes; `validateTextModel` and
 * `validateProjector` check what the values mean. The header is read in chunks and may take 64 MB at most.
 *
 * @throws MullError `model_not_found` if a file does not exist; `invalid_model` for a file that is damaged,
 *   hostile or no GGUF file; `aborted`
 */
export async function readGguf(
  path: string | readonly string[],
  options: ReadGgufOptions = {},
): Promise<Gguf> {
  const budget = new HeaderBudget();
  if (typeof path !== "string") return readList(path, budget, options.signal);
  const named = await readPart(path, budget, options.signal);
  const count = splitNumber(named, "split.count") ?? 1;
  if (count <= 1) return merge([named]);
  if (count > MAX_PARTS) throw invalidModel(path, `the model claims to have ${count} parts`);
  const name = parseSplitName(path);
  if (name === undefined || name.count !== count) {
    throw invalidModel(
      path,
      `the file is one of ${count} parts, but its name does not say so`,
      `Give all parts their original names: …-00001-of-${String(count).padStart(5, "0")}.gguf and so on.`,
    );
  }
  const parts: Part[] = [];
  for (let number = 1; number <= count; number++) {
    const partPath = splitName(name.prefix, number, count);
    const part = number === name.part ? named : await readPart(partPath, budget, options.signal);
    checkPart(part, number, count, "its name says");
    parts.push(part);
  }
  return merge(parts);
}

/**
 * Which part of a split model a file says it is, whatever it is called: from 1. A file that is whole is part 1 of 1.
 *
 * @throws MullError as `readGguf`
 */
export async function readSplitPlace(path: string): Promise<{ part: number; count: number }> {
  const part = await readPart(path, new HeaderBudget(), undefined);
  const count = splitNumber(part, "split.count") ?? 1;
  return count > 1 ? { part: (splitNumber(part, "split.no") ?? 0) + 1, count } : { part: 1, count: 1 };
}

/** All parts of a split model, whatever they are called. One file that is no part may be such a list, too. */
async function readList(
  paths: readonly string[],
  budget: HeaderBudget,
  signal: AbortSignal | undefined,
): Promise<Gguf> {
  if (paths.length === 0) throw new MullError("invalid_argument", "The list of a model's files is empty.");
  if (paths.length > MAX_PARTS) {
    throw new MullError("invalid_argument", `${paths.length} files are too many for a model.`);
  }
  const parts: Part[] = [];
  for (const [index, path] of paths.entries()) {
    const part = await readPart(path, budget, signal);
    if (paths.length > 1 || (splitNumber(part, "split.count") ?? 1) > 1) {
      checkPart(part, index + 1, paths.length, "it was given as");
    }
    parts.push(part);
  }
  return merge(parts);
}

/** One file: the only one of most models. */
interface Part {
  path: string;
  fileBytes: number;
  header: Header;
  tensors: TensorInfo[];
}

async function readPart(path: string, budget: HeaderBudget, signal: AbortSignal | undefined): Promise<Part> {
  if (signal?.aborted) throw new MullError("aborted", "Reading the model was cancelled.");
  const handle = await openModel(path);
  try {
    const stats = await handle.stat();
    if (stats.isDirectory()) throw invalidModel(path, "this is a directory", "Give the .gguf file in it.");
    if (!stats.isFile()) throw invalidModel(path, "this is not a regular file", "Give a .gguf file.");
    const fileBytes = stats.size;
    await checkMagic(handle, path, fileBytes);
    const header = await parseHeader(new HeaderCursor(handle, path, fileBytes, budget));
    return { path, fileBytes, header, tensors: placeTensors(path, header, fileBytes) };
  } finally {
    await handle.close();
  }
}

async function openModel(path: string): Promise<FileHandle> {
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") {
      const hint = "Check the path; the parts of a split model must lie in one directory.";
      throw new MullError("model_not_found", `${path}: no such file`, { hint, cause });
    }
    throw new MullError("model_not_found", `${path}: cannot be opened (${code})`, { cause });
  }
}

async function checkMagic(handle: FileHandle, path: string, fileBytes: number): Promise<void> {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(64), 0, 64, 0);
  const head = buffer.subarray(0, bytesRead);
  if (head.toString("latin1", 0, MAGIC.length) === MAGIC) return;
  if (fileBytes === 0) throw invalidModel(path, "the file is empty");
  const { kind, hint } = describeFileKind(head);
  throw invalidModel(path, `this is not a GGUF model: it is ${kind}`, hint);
}

function checkPart(part: Part, number: number, count: number, expectedBy: string): void {
  const actual = (splitNumber(part, "split.no") ?? -1) + 1;
  const actualCount = splitNumber(part, "split.count");
  if (actual !== number || actualCount !== count) {
    const is = actualCount === undefined ? "no part of a model" : `part ${actual} of ${actualCount}`;
    const problem = `the file is ${is}, but ${expectedBy} part ${number} of ${count}`;
    throw invalidModel(
      part.path,
      problem,
      "A part was renamed or copied over another one. Get the parts again.",
    );
  }
}

function splitNumber(part: Part, key: string): number | undefined {
  const entry = part.header.metadata.get(key);
  if (entry === undefined) return undefined;
  if (entry.type === "uint16") return entry.value;
  throw invalidModel(part.path, `metadata key "${key}" is not a uint16`);
}

function merge(parts: readonly Part[]): Gguf {
  const [first] = parts;
  if (first === undefined) throw new MullError("internal", "a model has at least one file");
  const tensors = new Map<string, TensorInfo>();
  for (const part of parts) {
    for (const tensor of part.tensors) {
      if (tensors.has(tensor.name)) {
        throw invalidModel(part.path, `tensor ${quote(tensor.name)} is in an earlier part, too`);
      }
      tensors.set(tensor.name, tensor);
    }
  }
  const gguf = new Gguf({
    path: first.path,
    paths: parts.map((part) => part.path),
    version: first.header.version,
    alignment: first.header.alignment,
    fileBytes: parts.reduce((sum, part) => sum + part.fileBytes, 0),
    metadata: first.header.metadata,
    tensors,
  });
  const expected = gguf.number("split.tensors.count");
  if (parts.length > 1 && expected !== undefined && expected !== tensors.size) {
    throw invalidModel(first.path, `the parts hold ${tensors.size} tensors instead of ${expected}`);
  }
  return gguf;
}
