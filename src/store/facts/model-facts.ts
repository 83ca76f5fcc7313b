import { createHash, type Hash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import type { Gguf } from "../../gguf/gguf.ts";
import { readGguf } from "../../gguf/read.ts";
import { validateAdapter } from "../../gguf/validate-adapter.ts";
import { validateProjector } from "../../gguf/validate-projector.ts";
import { validateTextModel } from "../../gguf/validate-text-model.ts";
import { MullError } from "../../spec/errors.ts";
import { identifyFiles } from "./identify-files.ts";
import { describeGguf, type GgufDescription, type Templates } from "./describe-gguf.ts";

/** What the headers of a model's files say: no weight is read, no process started. */
export interface ModelFacts extends GgufDescription {
  /** Size of all files, in bytes. */
  bytes: number;
  /** When the newest file was written. */
  modifiedAt: Date;
  /** SHA-256 over size, time and header of every file, 64 hex digits. */
  digest: string;
  /** Absolute paths: all parts of the text model, then the projector, then adapters. */
  paths: readonly string[];
}

/** Where a model's files are, and templates in place of the file's own, or for want of one. */
export interface ModelPaths extends Templates {
  /** Of a split model the first part, or all parts in order. */
  model: string | readonly string[];
  projector?: string | undefined;
  /** LoRA adapters for the text model. */
  adapters?: readonly string[] | undefined;
}

export interface ModelHeaders {
  text: Gguf;
  projector: Gguf | undefined;
  adapters: readonly Gguf[];
}

interface KnownModel {
  /** Of each file: device, inode, size and times. While they are the same, so are the facts. */
  identity: string;
  facts: ModelFacts;
}

/** More models than most lists show. Headers themselves, with their vocabularies, are not kept. */
const MOST_KNOWN = 4096;
const known = new Map<string, KnownModel>();
const reading = new Map<string, Promise<ModelFacts>>();

/**
 * What is known of a model without loading it. Read once, and again when a file has changed; requests at the same
 * time share the work.
 *
 * @throws MullError `model_not_found`, `invalid_model`
 */
export async function readModelFacts(files: ModelPaths): Promise<ModelFacts> {
  const { model, projector, adapters, template, fallbackTemplate } = files;
  const key = JSON.stringify([model, projector, adapters, template, fallbackTemplate]);
  const before = known.get(key);
  if (before !== undefined && before.identity === (await identifyFiles(before.facts.paths)))
    return before.facts;
  let facts = reading.get(key);
  if (facts === undefined) {
    facts = readAndKeep(key, files).finally(() => reading.delete(key));
    reading.set(key, facts);
  }
  return facts;
}

/**
 * Reads and checks the headers of a model's files.
 *
 * @throws MullError `model_not_found`, `invalid_model`
 */
export async function readModelHeaders(files: Omit<ModelPaths, "template">): Promise<ModelHeaders> {
  const text = await readGguf(files.model);
  validateTextModel(text);
  const projector = files.projector === undefined ? undefined : await readGguf(files.projector);
  if (projector !== undefined) validateProjector(projector);
  const adapters: Gguf[] = [];
  for (const path of files.adapters ?? []) {
    const adapter = await readGguf(path);
    validateAdapter(adapter, text);
    adapters.push(adapter);
  }
  return { text, projector, adapters };
}

async function readAndKeep(key: string, files: ModelPaths): Promise<ModelFacts> {
  const { text, projector, adapters } = await readModelHeaders(files);
  const headers = [text, ...(projector === undefined ? [] : [projector]), ...adapters];
  const paths = headers.flatMap((header) => header.paths);
  const identity = await identifyFiles(paths);
  const facts: ModelFacts = {
    ...describeGguf(text, projector !== undefined, files),
    ...(await summarise(headers)),
    paths,
  };
  // A file that changed meanwhile is read again next time.
  if (identity === undefined || identity !== (await identifyFiles(paths))) return facts;
  known.delete(key);
  known.set(key, { identity, facts });
  for (const oldest of known.keys()) {
    if (known.size <= MOST_KNOWN) break;
    known.delete(oldest);
  }
  return facts;
}

async function summarise(
  headers: readonly Gguf[],
): Promise<Pick<ModelFacts, "bytes" | "modifiedAt" | "digest">> {
  const hash = createHash("sha256");
  let bytes = 0;
  let newest = 0;
  for (const header of headers) {
    for (const path of header.paths) {
      const { size, mtimeMs } = await stat(path).catch(missing(path));
      bytes += size;
      newest = Math.max(newest, mtimeMs);
      hash.update(`${size} ${mtimeMs}\n`);
      const first = [...header.tensors.values()].find((tensor) => tensor.path === path);
      await hashHead(path, first?.offset ?? size, hash);
    }
  }
  return { bytes, modifiedAt: new Date(newest), digest: hash.digest("hex") };
}

/** The first `length` bytes of a file, read in pieces so that other requests get their turn. */
async function hashHead(path: string, length: number, hash: Hash): Promise<void> {
  const file = await open(path, "r").catch(missing(path));
  try {
    const buffer = new Uint8Array(Math.min(length, 2 ** 20));
    for (let done = 0; done < length;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, length - done), done);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
}

function missing(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new MullError("model_not_found", `${path}: no such file`, { cause });
  };
}
