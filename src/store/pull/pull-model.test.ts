import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { remoteBlob, remoteModel } from "../../../test/support/remote-models.ts";
import { type RangeServer, sha256, startRangeServer, testBytes } from "../../../test/support/range-server.ts";
import { newStore } from "../../../test/support/new-store.ts";
import type { ModelStore } from "../model-store.ts";
import type { RemoteModel } from "../remote-model.ts";
import type { TransferProgress } from "../transfer-progress.ts";
import { pullModel } from "./pull-model.ts";

const MODEL = testBytes(20_000_003);
const CONFIG = Buffer.from('{"model_format":"gguf"}');
const LINE = `pulling ${sha256(MODEL).slice(7, 19)}`;

let server: RangeServer;
let store: ModelStore;
let remote: RemoteModel;
beforeEach(async () => {
  server = await startRangeServer({ "/model": MODEL, "/config": CONFIG });
  store = newStore();
  remote = remoteModel([
    remoteBlob(`${server.url}/model`, MODEL),
    remoteBlob(`${server.url}/config`, CONFIG),
  ]);
});
afterEach(() => server[Symbol.asyncDispose]());

async function statusesOf(pull: RemoteModel = remote): Promise<TransferProgress[]> {
  const lines: TransferProgress[] = [];
  await pullModel(store, pull, { onProgress: (line) => lines.push(line) });
  return lines;
}

describe("pulling a model", () => {
  it("puts its blobs and its manifest into the store", async () => {
    const stored = await pullModel(store, remote, { connections: 4 });
    expect(stored.bytes).toBe(MODEL.length + CONFIG.length);
    expect((await store.find(remote.name))?.digest).toBe(stored.digest);
    const [layer] = stored.manifest.layers;
    expect(readFileSync(store.paths.blob(layer!.digest)).equals(MODEL)).toBe(true);
    expect(readdirSync(store.paths.partial)).toEqual([]);
    // Over more than one connection; every byte once, but for what a slow one had on the way when another took over.
    const sent = server.sent.filter(({ path }) => path === "/model");
    expect(sent.length).toBeGreaterThan(3);
    expect(sent.reduce((sum, { start, end }) => sum + end - start, 0)).toBeLessThan(1.8 * MODEL.length);
  });

  it("tells what it does in the order of Ollama", async () => {
    const lines = await statusesOf();
    const statuses = lines.map(({ status }) => status);
    expect([...new Set(statuses)]).toEqual([
      LINE,
      `pulling ${sha256(CONFIG).slice(7, 19)}`,
      "verifying sha256 digest",
      "writing manifest",
      "success",
    ]);
    const model = lines.filter(({ status }) => status === LINE);
    expect(model[0]).toEqual({ status: LINE, digest: sha256(MODEL), total: MODEL.length, completed: 0 });
    expect(model.at(-1)).toEqual({
      status: LINE,
      digest: sha256(MODEL),
      total: MODEL.length,
      completed: MODEL.length,
    });
    const completed = model.map((line) => line.completed);
    expect(completed).toEqual(completed.toSorted((a, b) => a! - b!));
  });

  it("fetches nothing that is there, and says so in one line", async () => {
    await pullModel(store, remote);
    const { requests } = server;
    const lines = await statusesOf();
    expect(server.requests).toBe(requests);
    expect(lines.filter(({ status }) => status === LINE)).toEqual([
      { status: LINE, digest: sha256(MODEL), total: MODEL.length, completed: MODEL.length },
    ]);
    expect(lines.map(({ status }) => status)).not.toContain("removing unused layers");
  });

  it("replaces a model and removes what only that needed", async () => {
    await pullModel(store, remote);
    const other = testBytes(3_000_000, 2);
    server.blobs.set("/other", other);
    const next = remoteModel([
      remoteBlob(`${server.url}/other`, other),
      remoteBlob(`${server.url}/config`, CONFIG),
    ]);
    const lines = await statusesOf(next);
    expect(lines.map(({ status }) => status).slice(-4)).toEqual([
      "verifying sha256 digest",
      "writing manifest",
      "removing unused layers",
      "success",
    ]);
    expect(readdirSync(store.paths.blobs).toSorted()).toEqual(
      [other, CONFIG].map((bytes) => sha256(bytes).replace(":", "-")).toSorted(),
    );
  });

  it("fetches a blob anew that was damaged since", async () => {
    const { manifest } = await pullModel(store, remote);
    const path = store.paths.blob(manifest.layers[0]!.digest);
    const damaged = Buffer.from(MODEL);
    damaged[12_345]! ^= 1;
    writeFileSync(path, damaged);
    await pullModel(store, remote);
    expect(readFileSync(path).equals(MODEL)).toBe(true);
  });

  it("names what nobody has a digest for by its content, and knows it again by its key", async () => {
    const changes = { digest: undefined, size: undefined, label: "model.gguf", key: '"etag" of an address' };
    const plain = remoteModel([
      remoteBlob(`${server.url}/model`, MODEL, changes),
      remoteBlob(`${server.url}/config`, CONFIG),
    ]);
    const lines = await statusesOf(plain);
    const first = lines.filter(({ status }) => status === "pulling model.gguf");
    expect(first.at(-1)).toEqual({
      status: "pulling model.gguf",
      total: MODEL.length,
      completed: MODEL.length,
    });
    expect((await store.find(plain.name))?.manifest.layers[0]?.digest).toBe(sha256(MODEL));
    const { requests } = server;
    await pullModel(store, plain);
    expect(server.requests).toBe(requests);
  });

  it("fetches what has neither digest nor key, nor a size before it is whole", async () => {
    server.behave = () => ({ total: "unknown" });
    const changes = { digest: undefined, size: undefined, label: "model.gguf" };
    const plain = remoteModel([
      remoteBlob(`${server.url}/model`, MODEL, changes),
      remoteBlob(`${server.url}/config`, CONFIG, changes),
    ]);
    const stored = await pullModel(store, plain);
    expect(stored.manifest.layers[0]).toMatchObject({ digest: sha256(MODEL), size: MODEL.length });
    expect(readdirSync(store.paths.partial)).toEqual([]);
  });

  it("fetches what has a size and nothing else", async () => {
    const changes = { digest: undefined, label: "model.gguf" };
    const plain = remoteModel([
      remoteBlob(`${server.url}/model`, MODEL, changes),
      remoteBlob(`${server.url}/config`, CONFIG, changes),
    ]);
    const stored = await pullModel(store, plain);
    expect(stored.manifest.layers[0]).toMatchObject({ digest: sha256(MODEL), size: MODEL.length });
    expect(readdirSync(store.paths.partial)).toEqual([]);
  });

  it("stores an empty blob without asking for it", async () => {
    const empty = remoteModel([
      remoteBlob(`${server.url}/empty`, new Uint8Array()),
      remoteBlob(`${server.url}/config`, CONFIG),
    ]);
    expect((await pullModel(store, empty)).bytes).toBe(CONFIG.length);
  });

  it("refuses what does not fit on the disk before it fetches anything", async () => {
    const huge = remoteModel([
      remoteBlob(`${server.url}/model`, MODEL, { size: 2 ** 50 }),
      remoteBlob(`${server.url}/config`, CONFIG),
    ]);
    await expect(pullModel(store, huge)).rejects.toMatchObject({ code: "insufficient_storage" });
    expect(server.requests).toBe(0);
  });
});
