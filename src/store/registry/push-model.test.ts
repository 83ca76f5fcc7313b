import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type DockerRegistry,
  hasDockerRegistry,
  REGISTRY_LOGIN,
  startDockerRegistry,
} from "../../../test/support/docker-registry.ts";
import { bytesOf, nameOf, newStoreFolder, removeStoreFolders } from "../../../test/support/store-models.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import type { HttpClient, HttpRequest } from "../http/http-client.ts";
import { digestOf, hexOf } from "../digest.ts";
import { CONFIG_TYPE, encodeManifest, layer } from "../manifest.ts";
import type { StoredModel } from "../model-store.ts";
import { openStore } from "../open-store.ts";
import { parseReference } from "../reference.ts";
import type { ByteRange, RemoteBlob } from "../remote-model.ts";
import type { TransferProgress } from "../transfer-progress.ts";
import { type PushOptions, pushModel } from "./push-model.ts";
import type { RegistryReference } from "./registry.ts";
import { registryModel } from "./registry-model.ts";

const home = mkdtempSync(join(tmpdir(), "mull-test-home-"));
const root = newStoreFolder();
const store = openStore({ root });
let waits: number[] = [];
let requests: string[] = [];
/** Changes a request before it is sent, or fails instead. */
let disturb: (request: HttpRequest) => HttpRequest = (request) => request;
const real: HttpClient = createHttpClient({
  env: {},
  clock: { sleep: async (milliseconds) => void (await Promise.resolve(waits.push(milliseconds))) },
});
const client: HttpClient = {
  ...real,
  async send(request) {
    const response = await real.send(disturb(request));
    const { pathname } = new URL(request.url);
    const what = pathname.replace(/sha256:(\w{4})\w+/, "$1").replace(/(uploads\/)[^/]+/, "$1…");
    requests.push(`${request.method ?? "GET"} ${what} ${response.status}`);
    return response;
  },
};

beforeEach(() => {
  [waits, requests] = [[], []];
  disturb = (request) => request;
});
afterAll(async () => {
  await real.close();
  removeStoreFolders();
  rmSync(home, { recursive: true });
});

/** A model with these weights and a system message. */
async function addModel(name: string, model: Uint8Array): Promise<StoredModel> {
  const [config, weights, system] = [
    await store.writeBlob(bytesOf('{"model_format":"gguf"}')),
    await store.writeBlob(model),
    await store.writeBlob(bytesOf("Be brief.")),
  ];
  const layers = [layer("model", weights.digest, weights.size), layer("system", system.digest, system.size)];
  const bytes = encodeManifest({ config: { mediaType: CONFIG_TYPE, ...config }, layers });
  return await store.writeManifest(nameOf(name), bytes);
}

const reference = (text: string): RegistryReference => parseReference(text) as RegistryReference;
const options = { client, env: { HOME: home } };

async function read(blob: RemoteBlob | undefined, range: ByteRange): Promise<Buffer> {
  const { body } = (await blob?.open(range, new AbortController().signal)) ?? { body: [] };
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

describe.skipIf(!hasDockerRegistry)("docker-registry", () => {
  let registry: DockerRegistry;
  let locked: DockerRegistry;
  beforeAll(async () => {
    [registry, locked] = await Promise.all([startDockerRegistry(), startDockerRegistry({ login: true })]);
  });
  afterAll(async () => {
    await Promise.all([registry[Symbol.asyncDispose](), locked[Symbol.asyncDispose]()]);
  });

  const push = async (
    name: string,
    model: Uint8Array,
    more: Partial<PushOptions> = {},
  ): Promise<StoredModel> => {
    const stored = await addModel(`${registry.host}/${name}`, model);
    await pushModel(store, stored, reference(`${registry.host}/${name}`), { ...options, ...more });
    return stored;
  };

  it("takes a model, and gives back its manifest and any piece of its blobs", async () => {
    const model = randomBytes(300_000);
    const seen: TransferProgress[] = [];
    const stored = await push("me/llava:13b", model, { onProgress: (progress) => seen.push(progress) });
    const [weights] = stored.manifest.layers;
    expect([...new Set(seen.map(({ status }) => status))]).toEqual([
      "retrieving manifest",
      ...[...stored.manifest.layers, stored.manifest.config].map(
        ({ digest }) => `pushing ${hexOf(digest).slice(0, 12)}`,
      ),
      "pushing manifest",
      "success",
    ]);
    const ends = seen.filter(
      ({ digest, completed, total }) => digest === weights?.digest && completed === total,
    );
    expect(ends.at(-1)).toMatchObject({ total: 300_000, completed: 300_000 });

    const remote = await registryModel(reference(`${registry.host}/me/llava:13b`), options);
    expect(remote.name).toEqual(stored.name);
    const { bytes, manifest } = await remote.manifest([]);
    expect([digestOf(bytes), manifest]).toEqual([stored.digest, stored.manifest]);
    const blob = remote.blobs.find(({ digest }) => digest === weights?.digest);
    expect(blob).toMatchObject({ size: 300_000, label: weights?.digest, key: weights?.digest });
    expect((await read(blob, { start: 0, end: undefined })).equals(model)).toBe(true);
    expect((await read(blob, { start: 1000, end: 5000 })).equals(model.subarray(1000, 5000))).toBe(true);
    expect((await read(blob, { start: 299_999, end: undefined })).equals(model.subarray(-1))).toBe(true);
    await expect(read(blob, { start: 300_000, end: undefined })).rejects.toMatchObject({
      details: { status: 416 },
    });
  });

  it("is not sent what it has", async () => {
    const model = randomBytes(1000);
    await push("me/twice", model);
    requests = [];
    await push("me/twice", model);
    expect(requests.map((request) => request.split(" ")[0])).toEqual(["HEAD", "HEAD", "HEAD", "PUT"]);
  });

  it("moves a tag to another model", async () => {
    const first = await push("me/tagged", randomBytes(100));
    const second = await push("me/tagged", randomBytes(100));
    const { bytes } = await (
      await registryModel(reference(`${registry.host}/me/tagged`), options)
    ).manifest([]);
    expect(first.digest).not.toBe(second.digest);
    expect(JSON.parse(Buffer.from(bytes).toString())).toMatchObject({
      layers: [{ digest: second.manifest.layers[0]?.digest }, {}],
    });
  });

  it("takes a blob from another of its repositories", async () => {
    const model = randomBytes(1000);
    await push("me/origin", model);
    requests = [];
    const stored = await push("you/copy", model);
    expect(requests.filter((request) => request.startsWith("POST"))).toEqual(
      Array.from({ length: 3 }, () => "POST /v2/you/copy/blobs/uploads/ 201"),
    );
    expect(requests.filter((request) => request.startsWith("PATCH"))).toEqual([]);
    expect((await registryModel(reference(`${registry.host}/you/copy`), options)).blobs).toHaveLength(
      stored.manifest.layers.length + 1,
    );
  });

  it("goes on with an upload where it was interrupted", async () => {
    await push("me/before", randomBytes(10));
    requests = [];
    const model = randomBytes(100_000);
    let patches = 0;
    disturb = (request) => {
      if (request.method === "PATCH" && ++patches === 3) throw unreachable();
      return request;
    };
    await push("me/resumed", model, { chunkBytes: 30_000 });
    // All else is mounted.
    expect(requests.filter((request) => request.startsWith("PATCH"))).toHaveLength(4);
    expect(requests.filter((request) => request.includes("GET /v2/me/resumed/blobs/uploads"))).toEqual([
      "GET /v2/me/resumed/blobs/uploads/… 204",
    ]);
    expect(waits).toHaveLength(1);
    expect(await pulled("me/resumed")).toEqual(model);
  });

  it("is given a blob anew when it lost the upload in the middle of a piece", async () => {
    const model = randomBytes(100_000);
    let cut = false;
    disturb = (request) => {
      const length = request.headers?.["content-length"];
      if (request.method !== "PATCH" || cut || length !== "100000") return request;
      cut = true;
      return { ...request, body: breaksOff };
    };
    await push("me/cut", model);
    expect([cut, waits.length > 0]).toEqual([true, true]);
    expect(await pulled("me/cut")).toEqual(model);
  });

  it("takes empty blobs", async () => {
    await push("me/empty", new Uint8Array());
    expect(await pulled("me/empty")).toEqual(Buffer.alloc(0));
  });

  it("does not get a blob that is damaged, nor its manifest", async () => {
    const name = `${registry.host}/me/damaged`;
    const stored = await addModel(name, randomBytes(1000));
    writeFileSync(store.paths.blob(stored.manifest.layers[0]!.digest), randomBytes(1000));
    await expect(pushModel(store, stored, reference(name), options)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/missing or damaged/),
    });
    await expect(registryModel(reference(name), options)).rejects.toMatchObject({ code: "model_not_found" });
  });

  it("takes a model from a store that is only read", async () => {
    const name = `${registry.host}/me/read-only`;
    const stored = await addModel(name, randomBytes(1000));
    await pushModel(openStore({ root, readOnly: true }), stored, reference(name), options);
    expect(digestOf(await pulled("me/read-only"))).toBe(stored.manifest.layers[0]?.digest);
  });

  it("is left in the middle when the push is cancelled", async () => {
    const stopping = new AbortController();
    disturb = (request) => {
      if (request.method === "PATCH") stopping.abort();
      return request;
    };
    const pushed = push("me/cancelled", randomBytes(1000), { signal: stopping.signal });
    await expect(pushed).rejects.toMatchObject({ code: "aborted" });
    await expect(registryModel(reference(`${registry.host}/me/cancelled`), options)).rejects.toMatchObject({
      code: "model_not_found",
    });
  });

  it("lets in who has logged in with docker", async () => {
    const name = `${locked.host}/me/private`;
    const stored = await addModel(name, randomBytes(1000));
    const refused = {
      code: "unauthorized",
      hint: expect.stringContaining(`docker login ${locked.host}`) as string,
    };
    await expect(pushModel(store, stored, reference(name), options)).rejects.toMatchObject(refused);
    const wrong = { ...options, env: loginEnv(locked.host, { ...REGISTRY_LOGIN, password: "wrong" }) };
    await expect(pushModel(store, stored, reference(name), wrong)).rejects.toMatchObject(refused);
    const right = { ...options, env: loginEnv(locked.host, REGISTRY_LOGIN) };
    await pushModel(store, stored, reference(name), right);
    expect((await registryModel(reference(name), right)).blobs).toHaveLength(3);
    const elsewhere = { ...options, env: loginEnv("registry.example", REGISTRY_LOGIN) };
    await expect(registryModel(reference(name), elsewhere)).rejects.toMatchObject(refused);
  });

  async function pulled(name: string): Promise<Buffer> {
    const remote = await registryModel(reference(`${registry.host}/${name}`), options);
    const { manifest } = await remote.manifest([]);
    const weights = remote.blobs.find(({ digest }) => digest === manifest.layers[0]?.digest);
    return await read(weights, { start: 0, end: undefined });
  }
});

function unreachable(): Error {
  return Object.assign(new Error("The network is away."), {
    name: "MullError",
    code: "server_unreachable",
    retryable: true,
    details: {},
  });
}

async function* breaksOff(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(randomBytes(50_000));
  throw unreachable();
}

function loginEnv(host: string, { username, password }: typeof REGISTRY_LOGIN): NodeJS.ProcessEnv {
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  return { HOME: home, DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [`https://${host}/v1/`]: { auth } } }) };
}
