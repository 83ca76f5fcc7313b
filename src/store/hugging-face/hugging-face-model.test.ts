import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { writeRandomProjector } from "../../../bench/random-projector.ts";
import { writeRandomTextModel } from "../../../bench/random-model.ts";
import { readGguf } from "../../gguf/read.ts";
import { writeGguf } from "../../gguf/write.ts";
import { pullModel } from "../pull/pull-model.ts";
import {
  type LoopbackRoute,
  type LoopbackServer,
  loopbackServer,
  sendJson,
} from "../../../test/support/loopback-server.ts";
import { temporaryFolder } from "../../../test/support/tiny-models.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import { kindOf, layersOf, SOURCE_ANNOTATION } from "../manifest.ts";
import { formatModelName } from "../model-name.ts";
import type { ModelStore } from "../model-store.ts";
import { openStore } from "../open-store.ts";
import { parseReference } from "../reference.ts";
import type { RemoteModel } from "../remote-model.ts";
import { huggingFaceModel } from "./hugging-face-model.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const REPOSITORY = "org/llava-GGUF";
const API = `GET /api/models/${REPOSITORY}/revision/main?blobs=true`;

const folder = temporaryFolder();
const client = createHttpClient({ env: {} });
afterAll(() => client.close());

const bytes = { text: Buffer.alloc(0), projector: Buffer.alloc(0), parts: [] as Buffer[] };

beforeAll(async () => {
  const text = join(folder.path, "text.gguf");
  const projector = join(folder.path, "projector.gguf");
  await writeRandomTextModel(text);
  await writeRandomProjector(projector);
  const gguf = await readGguf(text);
  const tensors = await Promise.all(
    [...gguf.tensors.values()].map(async ({ name, type, shape, ...rest }) => ({
      name,
      type,
      shape,
      data: await gguf.readTensor({ name, type, shape, ...rest }),
    })),
  );
  const parts = await writeGguf(
    join(folder.path, "split.gguf"),
    { metadata: gguf.metadata, tensors },
    { maxTensorsPerFile: Math.ceil(tensors.length / 3) },
  );
  bytes.text = readFileSync(text);
  bytes.projector = readFileSync(projector);
  bytes.parts = parts.map((path) => readFileSync(path));
});

const servers: LoopbackServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
});

async function serve(routes: Readonly<Record<string, LoopbackRoute>>): Promise<LoopbackServer> {
  const server = await loopbackServer(routes);
  servers.push(server);
  return server;
}

const sha256 = (content: Uint8Array): string => createHash("sha256").update(content).digest("hex");

/** As the Hub answers: large files have an `lfs`, small ones do not. */
function listing(files: Readonly<Record<string, Buffer | string>>, more: object = {}): unknown {
  return {
    id: REPOSITORY,
    sha: COMMIT,
    gated: false,
    private: false,
    siblings: Object.entries(files).map(([rfilename, content]) => ({
      rfilename,
      blobId: "66e0eb4f",
      size: content.length,
      ...(typeof content === "string"
        ? {}
        : { lfs: { sha256: sha256(content), size: content.length, pointerSize: 134 } }),
    })),
    ...more,
  };
}

/** A Hub whose files lie on another host, as the real one's do. */
async function serveHub(
  files: Readonly<Record<string, Buffer | string>>,
  more: object = {},
): Promise<{ hub: LoopbackServer; storage: LoopbackServer; env: NodeJS.ProcessEnv }> {
  const send = (content: Buffer | string) => (_: unknown, response: ServerResponse) =>
    void response.end(content);
  const pathOf = (file: string): string =>
    `/${REPOSITORY}/resolve/${COMMIT}/${file.split("/").map(encodeURIComponent).join("/")}`;
  const storage = await serve(
    Object.fromEntries(
      Object.entries(files).map(([file, content]) => [`GET ${pathOf(file)}?signed`, send(content)]),
    ),
  );
  const hub = await serve({
    [API]: (_, response) => sendJson(response, listing(files, more)),
    ...Object.fromEntries(
      Object.keys(files).map((file): [string, LoopbackRoute] => [
        `GET ${pathOf(file)}`,
        (_, response) =>
          void response.writeHead(302, { location: `${storage.url}${pathOf(file)}?signed` }).end(),
      ]),
    ),
  });
  return { hub, storage, env: { HF_ENDPOINT: hub.url, HF_HOME: join(folder.path, "nobody") } };
}

function find(
  name: string,
  env: NodeJS.ProcessEnv,
  store: ModelStore = openStore({ root: join(folder.path, "store") }),
): Promise<RemoteModel> {
  const reference = parseReference(name);
  if (reference.kind !== "hugging-face") throw new Error(name);
  return huggingFaceModel(reference, { client, env, store });
}

const labels = ({ blobs }: RemoteModel): readonly string[] => blobs.map(({ label }) => label);

describe("a model at Hugging Face", () => {
  it("is its GGUF, its projector and its texts, and becomes a stored model", async () => {
    const { env, hub, storage } = await serveHub({
      "README.md": "# LLaVA",
      "llava-Q4_K_M.gguf": bytes.text,
      "llava-Q8_0.gguf": Buffer.from("GGUF"),
      "mmproj-model-f16.gguf": bytes.projector,
      "mmproj-model-f32.gguf": Buffer.from("GGUF"),
      template: "{{ .Prompt }}",
      system: "Be brief.",
      params: '{"temperature": 0.2}',
    });
    const store = openStore({ root: join(folder.path, "whole") });
    const remote = await find(`hf.co/${REPOSITORY}`, env, store);
    expect(labels(remote)).toEqual([
      "llava-Q4_K_M.gguf",
      "mmproj-model-f16.gguf",
      "template",
      "system",
      "params",
    ]);
    expect(remote.blobs.map(({ digest }) => digest?.slice(7))).toEqual([
      sha256(bytes.text),
      sha256(bytes.projector),
      undefined,
      undefined,
      undefined,
    ]);
    expect(remote.blobs[0]?.size).toBe(bytes.text.length);

    const stored = await pullModel(store, remote);
    expect(formatModelName(stored.name)).toBe(`hf.co/${REPOSITORY}:latest`);
    expect(stored.manifest.layers.map(kindOf)).toEqual([
      "model",
      "projector",
      "template",
      "system",
      "params",
    ]);
    expect(stored.manifest.layers[0]?.annotations).toEqual({
      [SOURCE_ANNOTATION]: `${hub.url}/${REPOSITORY}/resolve/${COMMIT}/llava-Q4_K_M.gguf`,
    });
    const config = JSON.parse(
      readFileSync(store.paths.blob(stored.manifest.config.digest), "utf8"),
    ) as unknown;
    expect(config).toEqual({
      model_format: "gguf",
      model_family: "llama",
      model_families: ["llama", "clip"],
      model_type: expect.stringMatching(/^\d+K$/),
      file_type: "F32",
      architecture: "amd64",
      os: "linux",
      rootfs: { type: "layers", diff_ids: stored.manifest.layers.map(({ digest }) => digest) },
    });
    const [system] = layersOf(stored.manifest, "system");
    expect(system && readFileSync(store.paths.blob(system.digest), "utf8")).toBe("Be brief.");
    expect(await store.find(stored.name)).toMatchObject({ digest: stored.digest });
    expect(storage.requests).not.toEqual([]);
  });

  it("takes text only when there is no projector", async () => {
    const { env } = await serveHub({ "llava-Q4_0.gguf": bytes.text });
    const store = openStore({ root: join(folder.path, "text-only") });
    const stored = await pullModel(store, await find(`hf.co/${REPOSITORY}:q4_0`, env, store));
    expect(stored.manifest.layers.map(kindOf)).toEqual(["model"]);
  });

  it("brings all parts of a split file, in order, from the folder of its quantization", async () => {
    const files = Object.fromEntries(
      bytes.parts.map((part, index) => [
        `Q8_0/a model-0000${index + 1}-of-0000${bytes.parts.length}.gguf`,
        part,
      ]),
    );
    const { env } = await serveHub({ ...files, "mmproj-F16.gguf": bytes.projector });
    const store = openStore({ root: join(folder.path, "split") });
    const remote = await find(`hf.co/${REPOSITORY}:Q8_0`, env, store);
    expect(labels(remote)).toEqual([...Object.keys(files), "mmproj-F16.gguf"]);
    const stored = await pullModel(store, remote);
    expect(layersOf(stored.manifest, "model").map(({ digest }) => digest)).toEqual(
      bytes.parts.map((part) => `sha256:${sha256(part)}`),
    );
  });

  it("names what is missing of a split file before anything is fetched", async () => {
    const { env } = await serveHub({ "m-Q4_0-00001-of-00002.gguf": Buffer.from("x") });
    await expect(find(`hf.co/${REPOSITORY}`, env)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining("m-Q4_0-00002-of-00002.gguf") as string,
    });
  });

  it("lists the quantizations when there is no such one", async () => {
    const { env } = await serveHub({ "m-Q4_0.gguf": Buffer.from("x"), "m-Q8_0.gguf": Buffer.from("x") });
    await expect(find(`hf.co/${REPOSITORY}:Q4_K_M`, env)).rejects.toMatchObject({
      code: "model_not_found",
      hint: "There is Q4_0, Q8_0.",
    });
  });

  it("says how to convert a repository of safetensors", async () => {
    const { env } = await serveHub({
      "model-00001-of-00002.safetensors": Buffer.from("x"),
      "config.json": "{}",
    });
    await expect(find(`hf.co/${REPOSITORY}`, env)).rejects.toMatchObject({
      code: "invalid_model",
      hint: expect.stringContaining("mull create") as string,
    });
  });

  it("shows its token to the Hub and to nobody else", async () => {
    const { env, hub, storage } = await serveHub({ "m-Q4_0.gguf": bytes.text });
    const store = openStore({ root: join(folder.path, "token") });
    await pullModel(store, await find(`hf.co/${REPOSITORY}`, { ...env, HF_TOKEN: "hf_secret" }, store));
    expect(hub.requests.map(({ headers }) => headers.authorization)).toEqual([
      "Bearer hf_secret",
      "Bearer hf_secret",
    ]);
    expect(storage.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it("reads the token that hf auth login stored, unless that is switched off", async () => {
    const { env, hub } = await serveHub({ "m-Q4_0.gguf": bytes.text });
    const home = join(folder.path, "hf-home");
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, "token"), "hf_stored\n");
    await find(`hf.co/${REPOSITORY}`, { ...env, HF_HOME: home });
    await find(`hf.co/${REPOSITORY}`, { ...env, HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" });
    expect(hub.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer hf_stored", undefined]);
  });

  it("says what to do for a gated repository before its files are asked for", async () => {
    const { env, hub } = await serveHub({ "m-Q4_0.gguf": bytes.text }, { gated: "manual" });
    await expect(find(`hf.co/${REPOSITORY}`, env)).rejects.toMatchObject({
      code: "unauthorized",
      hint: expect.stringMatching(/accept its terms at .*org\/llava-GGUF.*HF_TOKEN/) as string,
    });
    expect(hub.requests).toHaveLength(1);
    expect(labels(await find(`hf.co/${REPOSITORY}`, { ...env, HF_TOKEN: "hf_x" }))).toEqual(["m-Q4_0.gguf"]);
  });

  it.each([
    [401, "unauthorized", "set HF_TOKEN"],
    [403, "unauthorized", "set HF_TOKEN"],
    [404, "model_not_found", "name"],
    [429, "rate_limited", "Try again"],
  ] as const)("says what the Hub's status %i means", async (status, code, hint) => {
    const hub = await serve({ [API]: (_, response) => sendJson(response, { error: "No." }, status) });
    await expect(
      find(`hf.co/${REPOSITORY}`, { HF_ENDPOINT: hub.url, HF_HOME: "/nonexistent" }),
    ).rejects.toMatchObject({ code, hint: expect.stringContaining(hint) as string });
  });

  it.each([
    ["a web page", "<!doctype html><p>Sign in"],
    ["nothing", ""],
    ["no object", "[]"],
    ["no commit", JSON.stringify({ siblings: [] })],
    ["a commit that is a path", JSON.stringify({ sha: "../../../x", siblings: [] })],
    ["files that are no list", JSON.stringify({ sha: COMMIT, siblings: {} })],
  ])("refuses %s in place of a description", async (_, body) => {
    const hub = await serve({ [API]: (_, response) => void response.end(body) });
    await expect(find(`hf.co/${REPOSITORY}`, { HF_ENDPOINT: hub.url })).rejects.toMatchObject({
      code: "server_unreachable",
    });
  });

  it("leaves out files whose names lead elsewhere, and sizes and digests that are none", async () => {
    const siblings = [
      null,
      { rfilename: 5 },
      ...[
        "../evil-Q4_0.gguf",
        "/etc/evil-Q4_0.gguf",
        "a//evil-Q4_0.gguf",
        "evil\u0000-Q4_0.gguf",
        "a\\..\\evil-Q4_0.gguf",
      ].map((rfilename) => ({ rfilename, size: 1 })),
      { rfilename: "good-Q4_0.gguf", size: -1, lfs: { sha256: "../../x", size: "many" } },
    ];
    const hub = await serve({ [API]: (_, response) => sendJson(response, { sha: COMMIT, siblings }) });
    const remote = await find(`hf.co/${REPOSITORY}`, { HF_ENDPOINT: `${hub.url}/`, HF_HOME: "/nonexistent" });
    expect(remote.blobs).toMatchObject([{ label: "good-Q4_0.gguf", size: undefined, digest: undefined }]);
  });

  it("refuses a file that is not what its name says when all is there", async () => {
    const { env } = await serveHub({ "m-Q4_0.gguf": bytes.projector });
    const store = openStore({ root: join(folder.path, "no-text") });
    const remote = await find(`hf.co/${REPOSITORY}`, env, store);
    await expect(pullModel(store, remote)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining("a projector, not a text model") as string,
    });
    expect(await store.list()).toEqual([]);
  });

  it("refuses parameters that are none", async () => {
    const { env } = await serveHub({ "m-Q4_0.gguf": bytes.text, params: "temperature 1" });
    const store = openStore({ root: join(folder.path, "params") });
    const remote = await find(`hf.co/${REPOSITORY}`, env, store);
    await expect(pullModel(store, remote)).rejects.toMatchObject({ code: "invalid_model" });
  });

  it.each(["ftp://x", "no address", "https://user:secret@host"])(
    "refuses HF_ENDPOINT=%s",
    async (endpoint) => {
      await expect(find(`hf.co/${REPOSITORY}`, { HF_ENDPOINT: endpoint })).rejects.toMatchObject({
        code: "invalid_argument",
        message: expect.not.stringContaining("secret") as string,
      });
    },
  );

  it("refuses a token with a line break in it, and does not repeat it", async () => {
    const env = { HF_ENDPOINT: "http://127.0.0.1:1", HF_TOKEN: "hf_secret\r\nx: y" };
    await expect(find(`hf.co/${REPOSITORY}`, env)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.not.stringContaining("hf_secret") as string,
    });
  });
});
