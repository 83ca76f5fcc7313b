import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { encodeManifest, layer, CONFIG_TYPE } from "./manifest.ts";
import { parseModelName, type ModelName } from "./model-name.ts";
import type { ModelStore } from "./model-store.ts";
import { openStore } from "./open-store.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mull-store-"));
  folders.push(folder);
  return folder;
}
const name = (text: string): ModelName => parseModelName(text) as ModelName;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

async function writeModel(store: ModelStore, model: string, text: string): Promise<void> {
  const config = await store.writeBlob(bytesOf("{}"));
  const blob = await store.writeBlob(bytesOf(text));
  await store.writeManifest(
    name(model),
    encodeManifest({
      config: { mediaType: CONFIG_TYPE, ...config },
      layers: [layer("model", blob.digest, blob.size)],
    }),
  );
}

describe("a store", () => {
  it("keeps models", async () => {
    const store = openStore({ root: join(newFolder(), "a", "b") });
    expect(await store.list()).toEqual([]);
    await writeModel(store, "llava", "one");
    await writeModel(store, "user/other:7b", "two");
    expect((await store.list()).length).toBe(2);
    await writeModel(store, "LLaVA", "three");
    expect((await store.list()).length).toBe(2);
    expect((await store.prune()).removed.length).toBe(1);
    await store.copy(name("llava"), name("copy"));
    expect(await store.remove(name("llava"))).toEqual({ freedBytes: 0 });
    expect(await store.remove(name("copy"))).toEqual({ freedBytes: 5 });
    const events = [];
    for await (const event of store.verify()) events.push(event.kind);
    expect(events).toEqual(["checking", "intact", "checking", "intact"]);
    expect(readdirSync(store.paths.locks)).toEqual([]);
    expect(readdirSync(store.paths.partial)).toEqual([]);
  });
});
