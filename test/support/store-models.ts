import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf, type Digest } from "../../src/store/digest.ts";
import { blobsOf, CONFIG_TYPE, encodeManifest, layer, type Manifest } from "../../src/store/manifest.ts";
import { type ModelName, parseModelName } from "../../src/store/model-name.ts";
import type { ModelStore, VerifyEvent } from "../../src/store/model-store.ts";

const folders: string[] = [];

export function newStoreFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mull-store-"));
  folders.push(folder);
  return folder;
}

export function removeStoreFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export function nameOf(text: string): ModelName {
  const name = parseModelName(text);
  if (name === undefined) throw new TypeError(`${text} is no name`);
  return name;
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

export const CONFIG = "{}";

/** Of a model with these texts as its layers. */
export function manifestOf(texts: readonly string[]): Manifest {
  const config = { mediaType: CONFIG_TYPE, digest: digestOf(bytesOf(CONFIG)), size: CONFIG.length };
  const layers = texts.map((text) => layer("model", digestOf(bytesOf(text)), bytesOf(text).length));
  return { config, layers };
}

export const manifestBytes = (texts: readonly string[]): Uint8Array => encodeManifest(manifestOf(texts));

/** As a pull does it: pinned, then the blobs, then the manifest. */
export async function writeModel(store: ModelStore, name: string, texts: readonly string[]): Promise<void> {
  const pin = await store.pin(blobsOf(manifestOf(texts)).map(({ digest }) => digest));
  try {
    for (const text of [CONFIG, ...texts]) await store.writeBlob(bytesOf(text));
    await store.writeManifest(nameOf(name), manifestBytes(texts));
  } finally {
    await pin.release();
  }
}

/** What `verify` found wrong: everything but what is whole. */
export async function findProblems(store: ModelStore): Promise<VerifyEvent[]> {
  const problems: VerifyEvent[] = [];
  for await (const event of store.verify()) {
    if (event.kind !== "checking" && event.kind !== "intact") problems.push(event);
  }
  return problems;
}

export function chunksOf(bytes: Uint8Array, length: number): AsyncIterable<Uint8Array> {
  return {
    async *[Symbol.asyncIterator]() {
      for (let start = 0; start < bytes.length; start += length) yield bytes.subarray(start, start + length);
    },
  };
}

export const textDigest = (text: string): Digest => digestOf(bytesOf(text));
