import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { writeRandomTextModel } from "../../bench/random-model.ts";
import { pullModel } from "./pull/pull-model.ts";
import {
  type LoopbackRoute,
  type LoopbackServer,
  loopbackServer,
} from "../../test/support/loopback-server.ts";
import { temporaryFolder } from "../../test/support/tiny-models.ts";
import { createHttpClient } from "./http/create-http-client.ts";
import { SOURCE_ANNOTATION } from "./manifest.ts";
import type { ModelStore } from "./model-store.ts";
import { openStore } from "./open-store.ts";
import { parseReference } from "./reference.ts";
import type { RemoteModel } from "./remote-model.ts";
import { urlModel } from "./url-source.ts";

const folder = temporaryFolder();
const client = createHttpClient({ env: {} });
afterAll(() => client.close());

let model = Buffer.alloc(0);
beforeAll(async () => {
  await writeRandomTextModel(join(folder.path, "m.gguf"));
  model = readFileSync(join(folder.path, "m.gguf"));
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

/** A file with ranges, as most servers give it. */
function file(content: Buffer, headers: Readonly<Record<string, string>> = {}): LoopbackRoute {
  return (request, response) => {
    const [, start, end] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    if (start === undefined) {
      response.writeHead(200, headers).end(content);
      return;
    }
    if (content.length === 0) {
      response.writeHead(416, { "content-range": "bytes */0" }).end();
      return;
    }
    const part = content.subarray(Number(start), end === "" ? undefined : Number(end) + 1);
    const range = `bytes ${start}-${Number(start) + part.length - 1}/${content.length}`;
    response.writeHead(206, { ...headers, "content-range": range, "content-length": part.length }).end(part);
  };
}

function open(
  url: string,
  store: ModelStore = openStore({ root: join(folder.path, "store") }),
  env: NodeJS.ProcessEnv = { HF_HOME: "/nonexistent" },
): Promise<RemoteModel> {
  const reference = parseReference(url);
  if (reference.kind !== "url") throw new Error(url);
  return urlModel(reference, { client, env, store });
}

describe("a model at an address", () => {
  it("is looked at, fetched and stored, without its signature", async () => {
    const server = await serve({ "GET /x/my%20llava.gguf?sig=secret": file(model, { etag: '"v1"' }) });
    const store = openStore({ root: join(folder.path, "one") });
    const remote = await open(`${server.url}/x/my%20llava.gguf?sig=secret#top`, store);
    expect(remote.blobs).toMatchObject([
      {
        label: "my llava.gguf",
        size: model.length,
        digest: undefined,
        key: `${server.url}/x/my%20llava.gguf#"v1"`,
      },
    ]);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual(["bytes=0-63"]);
    const { manifest } = await pullModel(store, remote);
    expect(manifest.layers[0]?.annotations).toEqual({
      [SOURCE_ANNOTATION]: `${server.url}/x/my%20llava.gguf`,
    });
    expect(JSON.stringify(manifest)).not.toContain("secret");
  });

  it("opens pieces of it", async () => {
    const server = await serve({ "GET /m.gguf": file(model, { etag: '"v1"' }) });
    const [blob] = (await open(`${server.url}/m.gguf`)).blobs;
    const bytes = await blob?.open({ start: 10, end: 20 }, new AbortController().signal);
    expect(bytes).toMatchObject({ start: 10, total: model.length });
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytes?.body ?? []) chunks.push(chunk);
    expect(Buffer.concat(chunks)).toEqual(model.subarray(10, 20));
  });

  it("comes from a server without ranges, ETag or size", async () => {
    const server = await serve({
      "GET /m.gguf": (_, response) => {
        response.writeHead(200);
        response.write(model.subarray(0, 3));
        response.end(model.subarray(3));
      },
    });
    const store = openStore({ root: join(folder.path, "plain") });
    const remote = await open(`${server.url}/m.gguf`, store);
    expect(remote.blobs).toMatchObject([{ size: undefined, key: undefined }]);
    expect((await pullModel(store, remote)).manifest.layers[0]?.size).toBe(model.length);
  });

  it("goes by its date when there is no strong ETag", async () => {
    const headers = { etag: 'W/"weak"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" };
    const server = await serve({ "GET /m.gguf": file(model, headers) });
    const [blob] = (await open(`${server.url}/m.gguf`)).blobs;
    expect(blob?.key).toBe(`${server.url}/m.gguf#Mon, 01 Jan 2024 00:00:00 GMT`);
  });

  it("notices that the file changed after it was looked at", async () => {
    const etags = ['"v1"', '"v2"'];
    const server = await serve({
      "GET /m.gguf": (request, response) => file(model, { etag: etags.shift() ?? "" })(request, response),
    });
    const [blob] = (await open(`${server.url}/m.gguf`)).blobs;
    await expect(
      blob?.open({ start: 64, end: undefined }, new AbortController().signal),
    ).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining("changed while it was downloaded") as string,
    });
  });

  it("is all parts when it is split", async () => {
    const server = await serve({
      "GET /m-00001-of-00003.gguf?download=true": file(model),
      "GET /m-00002-of-00003.gguf?download=true": file(model),
      "GET /m-00003-of-00003.gguf?download=true": file(model),
    });
    const remote = await open(`${server.url}/m-00002-of-00003.gguf?download=true`);
    expect(remote.blobs.map(({ label }) => label)).toEqual(
      [1, 2, 3].map((part) => `m-0000${part}-of-00003.gguf`),
    );
  });

  it("says which part is missing", async () => {
    const server = await serve({ "GET /m-00001-of-00002.gguf": file(model) });
    await expect(open(`${server.url}/m-00001-of-00002.gguf`)).rejects.toMatchObject({
      code: "model_not_found",
      message: expect.stringContaining("m-00002-of-00002.gguf") as string,
    });
    await expect(open("http://127.0.0.1:1/m-00001-of-99999.gguf")).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  it.each([
    ["a web page", "<!doctype html><title>Sign in</title>", /web page/],
    ["an LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00", /LFS pointer/],
    ["nothing", "", /empty/],
    ["zeros", "\0".repeat(100), /zeros/],
  ])("refuses %s before it is fetched", async (_, content, message) => {
    const server = await serve({ "GET /m.gguf": file(Buffer.from(content)) });
    await expect(open(`${server.url}/m.gguf`)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(message) as string,
    });
  });

  it.each([
    [404, "model_not_found"],
    [403, "unauthorized"],
    [500, "server_unreachable"],
  ])("says what status %i means, and keeps the signature to itself", async (status, code) => {
    const server = await serve({
      "GET /m.gguf?sig=secret": (_, response) => void response.writeHead(status).end(),
    });
    await expect(open(`${server.url}/m.gguf?sig=secret`)).rejects.toMatchObject({
      code,
      message: expect.not.stringContaining("secret") as string,
    });
  });

  it("shows Hugging Face's token there and not elsewhere", async () => {
    const server = await serve({
      "GET /org/repo/resolve/main/m.gguf": file(model),
      "GET /m.gguf": file(model),
    });
    const store = openStore({ root: join(folder.path, "hub") });
    const other = await serve({ "GET /m.gguf": file(model) });
    const env = { HF_ENDPOINT: server.url, HF_TOKEN: "hf_secret" };
    // The page about the file stands for the file.
    await open(`${server.url}/org/repo/blob/main/m.gguf`, store, env);
    await open(`${other.url}/m.gguf`, store, env);
    expect(server.requests[0]?.headers.authorization).toBe("Bearer hf_secret");
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
  });

  it("names no file that is no model when all is there", async () => {
    const server = await serve({ "GET /m.gguf": file(model.subarray(0, 200)) });
    const store = openStore({ root: join(folder.path, "cut") });
    const remote = await open(`${server.url}/m.gguf`, store);
    await expect(pullModel(store, remote)).rejects.toMatchObject({ code: "invalid_model" });
    expect(await store.list()).toEqual([]);
  });
});
