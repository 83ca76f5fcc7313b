import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import {
  loopbackServer,
  type LoopbackRoute,
  type LoopbackServer,
} from "../../../test/support/loopback-server.ts";
import { createHttpClient, type HttpClientOptions } from "../http/create-http-client.ts";
import { encodeManifest, layer, parseManifest } from "../manifest.ts";
import { digestOf } from "../digest.ts";
import { parseReference } from "../reference.ts";
import type { ByteRange, RemoteModel } from "../remote-model.ts";
import type { RegistryReference } from "./registry.ts";
import { registryModel } from "./registry-model.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const MODEL = Buffer.from("0123456789");
const CONFIG = {
  mediaType: "application/vnd.docker.container.image.v1+json",
  digest: digestOf(Buffer.from("{}")),
  size: 2,
};
const MANIFEST = encodeManifest({ config: CONFIG, layers: [layer("model", digestOf(MODEL), MODEL.length)] });
const MANIFEST_PATH = "/v2/me/llava/manifests/13b";
const BLOB_PATH = `/v2/me/llava/blobs/${digestOf(MODEL)}`;

async function server(routes: Record<string, LoopbackRoute>): Promise<LoopbackServer> {
  const made = await loopbackServer(routes);
  closing.push(async () => made[Symbol.asyncDispose]());
  return made;
}

const sends =
  (body: Uint8Array | string, headers: Record<string, string> = {}, status = 200): LoopbackRoute =>
  (_, response) =>
    void response.writeHead(status, headers).end(body);
const redirects = (location: string): LoopbackRoute => sends("", { location }, 307);

/** As registries do it: the whole, or the piece that is asked for. */
const sendsRanges =
  (bytes: Buffer): LoopbackRoute =>
  ({ headers }, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
    if (first === undefined) {
      response.end(bytes);
      return;
    }
    const end = last === "" ? bytes.length : Number(last) + 1;
    const range = `bytes ${first}-${end - 1}/${bytes.length}`;
    response.writeHead(206, { "content-range": range }).end(bytes.subarray(Number(first), end));
  };

const registry = async (
  blob: LoopbackRoute = sendsRanges(MODEL),
  manifest: LoopbackRoute = sends(MANIFEST),
): Promise<LoopbackServer> =>
  await server({ [`GET ${MANIFEST_PATH}`]: manifest, [`GET ${BLOB_PATH}`]: blob });

async function model(
  host: string,
  options: Partial<HttpClientOptions> = {},
  more: { signal?: AbortSignal } = {},
): Promise<RemoteModel> {
  const { env = {}, ...rest } = options;
  const client = createHttpClient({ env: {}, ...rest });
  closing.push(() => client.close());
  const reference = parseReference(`${host}/me/llava:13b`) as RegistryReference;
  return await registryModel(reference, { client, env: { HOME: "/nonexistent", ...env }, ...more });
}

async function read(remote: RemoteModel, range: ByteRange = { start: 0, end: undefined }): Promise<string> {
  const blob = remote.blobs.find(({ digest }) => digest === digestOf(MODEL));
  const opened = await blob?.open(range, new AbortController().signal);
  const parts: Uint8Array[] = [];
  for await (const part of opened?.body ?? []) parts.push(part);
  return `${opened?.start}/${opened?.total} ${Buffer.concat(parts).toString()}`;
}

/** "user:pass" for that host, as `docker login` writes it. */
const login = (host: string): NodeJS.ProcessEnv => ({
  DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [host]: { username: "user", password: "pass" } } }),
});
const BASIC = `Basic ${Buffer.from("user:pass").toString("base64")}`;

describe("a manifest", () => {
  it("is asked for in the types that are understood, and kept as it came", async () => {
    const spaced = Buffer.concat([MANIFEST, Buffer.from("\n")]);
    const digest = `sha256:${createHash("sha256").update(spaced).digest("hex")}`;
    const { host, requests } = await registry(undefined, sends(spaced, { "docker-content-digest": digest }));
    const remote = await model(host);
    expect(requests[0]?.headers.accept?.split(", ").slice(0, 2)).toEqual([
      "application/vnd.docker.distribution.manifest.v2+json",
      "application/vnd.oci.image.manifest.v1+json",
    ]);
    expect(requests[0]?.headers.authorization).toBeUndefined();
    const { bytes, manifest } = await remote.manifest([]);
    expect(spaced.equals(bytes)).toBe(true);
    expect(manifest).toEqual(parseManifest(MANIFEST, ""));
    expect(remote.blobs.map(({ digest, size }) => [digest, size])).toEqual([
      [CONFIG.digest, 2],
      [digestOf(MODEL), 10],
    ]);
  });

  const json = (change: object): string =>
    JSON.stringify({ ...JSON.parse(Buffer.from(MANIFEST).toString()), ...change });
  const weights = layer("model", digestOf(MODEL), MODEL.length);
  it.each<[string, LoopbackRoute, object]>([
    [
      "a web page",
      sends("<html>", { "content-type": "text/html; charset=utf-8" }),
      { code: "server_unreachable", message: expect.stringMatching(/web page/) },
    ],
    ["nothing", sends(""), { code: "invalid_model", message: expect.stringMatching(/it is empty/) }],
    [
      "half of it",
      sends(MANIFEST.subarray(0, 50)),
      { code: "invalid_model", message: expect.stringMatching(/no JSON/) },
    ],
    [
      "another than it announces",
      sends(MANIFEST, { "docker-content-digest": CONFIG.digest }),
      { code: "digest_mismatch" },
    ],
    [
      "one of an unknown digest",
      sends(MANIFEST, { "docker-content-digest": "md5:x" }),
      { code: "digest_mismatch", message: expect.stringMatching(/should be md5:x/) },
    ],
    [
      "far too much",
      sends(Buffer.alloc(5 << 20, " ")),
      { code: "server_unreachable", message: expect.stringMatching(/more than 4194304 bytes/) },
    ],
    [
      "a bomb",
      sends(gzipSync(Buffer.alloc(1 << 20)), { "content-encoding": "gzip" }),
      { message: expect.stringMatching(/compressed/) },
    ],
    [
      "a digest that leads elsewhere",
      sends(json({ layers: [{ ...weights, digest: "../../x" }] })),
      { code: "invalid_model", message: expect.stringMatching(/no SHA-256/) },
    ],
    [
      "a digest with a slash",
      sends(json({ layers: [{ ...weights, digest: `sha256:${"a".repeat(60)}/../` }] })),
      { code: "invalid_model" },
    ],
    [
      "a config that leads elsewhere",
      sends(json({ config: { ...CONFIG, digest: "sha256:..%2f" } })),
      { code: "invalid_model" },
    ],
    [
      "a layer that is elsewhere",
      sends(json({ layers: [{ ...weights, urls: ["https://evil.example/x"] }] })),
      { code: "invalid_model", message: expect.stringMatching(/outside of its registry/) },
    ],
    [
      "a foreign layer",
      sends(
        json({
          layers: [{ ...weights, mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }],
        }),
      ),
      { message: expect.stringMatching(/outside of its registry/) },
    ],
    [
      "a container image",
      sends(json({ layers: [{ ...weights, mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" }] })),
      {
        code: "invalid_model",
        message: expect.stringMatching(/no model in GGUF: it has application\/vnd\.oci/),
      },
    ],
    [
      "a model without weights",
      sends(json({ layers: [] })),
      { code: "invalid_model", message: expect.stringMatching(/no layer at all/) },
    ],
    [
      "an old manifest",
      sends(json({ schemaVersion: 1 })),
      { code: "invalid_model", message: expect.stringMatching(/schemaVersion/) },
    ],
    [
      "that it is not there",
      sends('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}', {}, 404),
      {
        code: "model_not_found",
        message: expect.stringMatching(/me\/llava:13b is not at .* It says: manifest unknown/),
      },
    ],
    [
      "that it is too busy",
      sends("", { "retry-after": new Date(Date.now() + 60_000).toUTCString() }, 429),
      { code: "rate_limited", details: { status: 429, retryAfterSeconds: expect.any(Number) as number } },
    ],
    [
      "a fault",
      sends("oops", {}, 500),
      { code: "server_unreachable", message: expect.stringMatching(/status 500. It says: oops/) },
    ],
    ["a loop", redirects(MANIFEST_PATH), { details: { reason: "redirect" } }],
    ["a way into the open", redirects("http://registry.example/x"), { details: { reason: "redirect" } }],
    ["a reset", (_, response) => void response.socket?.resetAndDestroy(), { details: { reason: "reset" } }],
    ["nothing for too long", () => {}, { code: "server_unreachable", details: { reason: "timeout" } }],
  ])("may be %s", async (_, route, error) => {
    const { host, requests } = await registry(undefined, route);
    await expect(model(host, { timeouts: { headers: 500 } })).rejects.toMatchObject(error);
    expect(new Set(requests.map(({ path }) => path))).toEqual(new Set([MANIFEST_PATH]));
  });

  it("of several platforms is the only model among them", async () => {
    const entry = (bytes: Uint8Array, more = {}): object => ({
      mediaType: "",
      digest: digestOf(bytes),
      size: bytes.length,
      ...more,
    });
    const index = (manifests: object[]): LoopbackRoute =>
      sends(JSON.stringify({ schemaVersion: 2, manifests }));
    const attestation = entry(Buffer.from("x"), { platform: { os: "unknown", architecture: "unknown" } });
    const byDigest = `GET /v2/me/llava/manifests/${digestOf(MANIFEST)}`;

    const one = await server({
      [`GET ${MANIFEST_PATH}`]: index([attestation, entry(MANIFEST)]),
      [byDigest]: sends(MANIFEST),
    });
    const { bytes } = await (await model(one.host)).manifest([]);
    expect(digestOf(bytes)).toBe(digestOf(MANIFEST));

    for (const manifests of [[], [entry(MANIFEST), entry(MODEL)], [{ digest: "../../x" }], [[]]]) {
      const { host } = await server({ [`GET ${MANIFEST_PATH}`]: index(manifests) });
      await expect(model(host)).rejects.toMatchObject({
        code: "invalid_model",
        message: expect.stringMatching(/is an index/),
      });
    }
    const other = await server({
      [`GET ${MANIFEST_PATH}`]: index([entry(MANIFEST)]),
      [byDigest]: sends(json({ config: CONFIG, x: 1 })),
    });
    await expect(model(other.host)).rejects.toMatchObject({ code: "digest_mismatch" });
  });
});

describe("a blob", () => {
  it("comes whole, or as the piece that is asked for", async () => {
    const { host, requests } = await registry();
    const remote = await model(host);
    expect(await read(remote)).toBe("0/10 0123456789");
    expect(await read(remote, { start: 2, end: 5 })).toBe("2/10 234");
    expect(await read(remote, { start: 8, end: undefined })).toBe("8/10 89");
    expect(requests.slice(1).map(({ headers }) => headers.range)).toEqual([
      undefined,
      "bytes=2-4",
      "bytes=8-",
    ]);
  });

  it("begins at 0 where ranges are ignored", async () => {
    const { host } = await registry(sends(MODEL, { "content-length": "10" }));
    expect(await read(await model(host), { start: 2, end: 5 })).toBe("0/10 0123456789");
  });

  const partial = (contentRange: string, body = "234"): LoopbackRoute =>
    sends(body, { "content-range": contentRange }, 206);
  it.each<[string, LoopbackRoute, object]>([
    ["another piece", partial("bytes 3-5/10"), { message: expect.stringMatching(/sends others/) }],
    ["a longer piece", partial("bytes 2-5/10", "2345"), { message: expect.stringMatching(/sends more/) }],
    [
      "a piece beyond the end",
      partial("bytes 2-4/4"),
      { message: expect.stringMatching(/more than there are/) },
    ],
    ["a piece turned round", partial("bytes 2-1/10", ""), { message: expect.stringMatching(/sends others/) }],
    [
      "another number of bytes",
      sends("234", { "content-range": "bytes 2-4/10", "content-length": "2" }, 206),
      {},
    ],
    ["a piece of something", sends("234", {}, 206), { message: expect.stringMatching(/does not say which/) }],
    ["numbers beyond all measure", partial("bytes 2-99999999999999999999/*"), {}],
    ["several pieces", sends("--x", { "content-type": "multipart/byteranges; boundary=x" }, 206), {}],
    ["nothing", sends("", {}, 204), { message: expect.stringMatching(/status 204/) }],
    [
      "a web page",
      sends("<html>", { "content-type": "text/html" }),
      { message: expect.stringMatching(/web page/) },
    ],
    [
      "compressed bytes",
      sends(gzipSync(MODEL), { "content-encoding": "gzip" }),
      { message: expect.stringMatching(/compressed/) },
    ],
    [
      "that there is no such piece",
      sends("", { "content-range": "bytes */10" }, 416),
      { details: { status: 416 } },
    ],
  ])("may be %s", async (_, route, error) => {
    const { host } = await registry(route);
    const remote = await model(host);
    await expect(read(remote, { start: 2, end: 5 })).rejects.toMatchObject({
      code: "server_unreachable",
      ...error,
    });
  });

  it("is fetched from storage directly, without the token, until the address there expires", async () => {
    let valid = "1";
    const expiring: LoopbackRoute = (request, response) => {
      if (request.path.endsWith(`signature=${valid}`)) return sendsRanges(MODEL)(request, response);
      return sends("<Error/>", {}, 403)(request, response);
    };
    const storage = await server({ "GET /x?signature=1": expiring, "GET /x?signature=2": expiring });
    const home = await server(
      tokenRoutes((request, response) => redirects(`${storage.url}/x?signature=${valid}`)(request, response)),
    );
    const remote = await model(home.host, { env: login(home.host) });
    const asked = (): number => home.requests.filter(({ path }) => path === BLOB_PATH).length;
    expect(await read(remote, { start: 0, end: 2 })).toBe("0/10 01");
    expect(await read(remote, { start: 2, end: 4 })).toBe("2/10 23");
    expect(asked()).toBe(1);
    valid = "2";
    expect(await read(remote, { start: 4, end: 6 })).toBe("4/10 45");
    expect(await read(remote, { start: 6, end: 8 })).toBe("6/10 67");
    expect(asked()).toBe(2);
    expect(storage.requests.map(({ headers }) => headers.authorization)).toEqual(
      storage.requests.map(() => undefined),
    );
  });

  it("in storage that wants a token gets none", async () => {
    const home = await server(
      tokenRoutes((request, response) => redirects(`${storage.url}/x`)(request, response)),
    );
    const challenge = { "www-authenticate": `Bearer realm="${home.url}/token",service="s"` };
    const storage = await server({ "GET /x": sends("", challenge, 401) });
    const remote = await model(home.host, { env: login(home.host) });
    await expect(read(remote)).rejects.toMatchObject({ code: "unauthorized" });
    expect(storage.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    expect(home.requests.filter(({ path }) => path.startsWith("/token"))).toHaveLength(1);
  });
});

/** A registry with a token server of its own; tokens are "t1", "t2", … and the latest is valid. */
function tokenRoutes(
  blob: LoopbackRoute = sendsRanges(MODEL),
  answer: object = {},
): Record<string, LoopbackRoute> {
  let issued = 0;
  const token = "/token?service=my+%22registry%22&scope=repository%3Ame%2Fllava%3Apull";
  const guarded =
    (route: LoopbackRoute): LoopbackRoute =>
    (request, response) => {
      if (issued > 0 && request.headers.authorization === `Bearer t${issued}`)
        return route(request, response);
      const realm = `http://${request.headers.host}/token`;
      const challenge = String.raw`Bearer realm="${realm}",service="my \"registry\"",scope="repository:me/llava:pull"`;
      return sends("", { "www-authenticate": challenge }, 401)(request, response);
    };
  return {
    [`GET ${MANIFEST_PATH}`]: guarded(sends(MANIFEST)),
    [`GET ${BLOB_PATH}`]: guarded(blob),
    [`GET ${token}`]: (request, response) =>
      sends(JSON.stringify({ token: `t${++issued}`, ...answer }))(request, response),
    "GET /revoke": (_, response) => {
      issued += 1;
      response.end();
    },
  };
}

const tokensOf = ({ requests }: LoopbackServer): (string | undefined)[] =>
  requests.filter(({ path }) => path.startsWith("/token")).map(({ headers }) => headers.authorization);

describe("a token", () => {
  it("is asked for once, with the login, and only the token goes to the registry", async () => {
    const home = await server(tokenRoutes(undefined, { expires_in: 300 }));
    const remote = await model(home.host, { env: login(home.host) });
    await Promise.all([read(remote), read(remote)]);
    expect(tokensOf(home)).toEqual([BASIC]);
    expect(
      home.requests.filter(({ path }) => path.startsWith("/v2")).map(({ headers }) => headers.authorization),
    ).toEqual([undefined, "Bearer t1", "Bearer t1", "Bearer t1"]);
  });

  it("is asked for without a login by who has none", async () => {
    const home = await server(tokenRoutes());
    await model(home.host, { env: login("registry.example") });
    expect(tokensOf(home)).toEqual([undefined]);
  });

  it("is renewed when it has expired, once for all who wait", async () => {
    let now = 1_000_000;
    const home = await server(tokenRoutes(undefined, { expires_in: 60 }));
    const remote = await model(home.host, { clock: { now: () => now } });
    now += 50_000;
    await read(remote);
    expect(tokensOf(home)).toHaveLength(1);
    now += 6000;
    await Promise.all(Array.from({ length: 8 }, async () => await read(remote)));
    expect(tokensOf(home)).toHaveLength(2);
  });

  it("that is refused early is renewed once, and then that is the answer", async () => {
    const home = await server(tokenRoutes(undefined, { expires_in: 300 }));
    const remote = await model(home.host);
    await fetch(`${home.url}/revoke`);
    expect(await read(remote)).toBe("0/10 0123456789");
    expect(tokensOf(home)).toHaveLength(2);

    const never = await server({
      [`GET ${MANIFEST_PATH}`]: (request, response) =>
        sends(
          "",
          { "www-authenticate": `Bearer realm="http://${request.headers.host}/token"` },
          401,
        )(request, response),
      "GET /token": sends('{"access_token":"no"}'),
    });
    await expect(model(never.host)).rejects.toMatchObject({ code: "unauthorized" });
    expect(never.requests.map(({ path }) => path)).toEqual([MANIFEST_PATH, "/token", MANIFEST_PATH]);
  });

  it("is never asked for elsewhere, with a login or without", async () => {
    const thief = await server({ "GET /token": sends('{"token":"x"}') });
    for (const env of [{}, "all"]) {
      const home = await registry(
        undefined,
        sends("", { "www-authenticate": `Bearer realm="${thief.url}/token"` }, 401),
      );
      const logins = env === "all" ? login(home.host) : {};
      const refusal = {
        code: "unauthorized",
        message: `${home.url} wants a token from ${thief.url}: mull gets tokens from the registry's own origin only.`,
      };
      await expect(model(home.host, { env: logins })).rejects.toMatchObject(refusal);
    }
    expect(thief.requests).toEqual([]);
  });

  it("is not fetched where its server redirects to", async () => {
    const thief = await server({ "GET /token": sends('{"token":"x"}') });
    const home = await server({
      [`GET ${MANIFEST_PATH}`]: (request, response) =>
        sends(
          "",
          { "www-authenticate": `Bearer realm="http://${request.headers.host}/token"` },
          401,
        )(request, response),
      "GET /token": redirects(`${thief.url}/token`),
    });
    await expect(model(home.host, { env: login(home.host) })).rejects.toMatchObject({ code: "unauthorized" });
    expect(thief.requests).toEqual([]);
  });

  it.each([
    ["no address", "not an address", "{}"],
    ["no token", undefined, '{"token":7}'],
    ["a token that would break out of its header", undefined, JSON.stringify({ token: "x\r\nhost: evil" })],
    ["a web page", undefined, "<!doctype html>"],
    ["nothing", undefined, "null"],
  ])("may be %s", async (_, realm, answer) => {
    const home = await server({
      [`GET ${MANIFEST_PATH}`]: (request, response) =>
        sends(
          "",
          { "www-authenticate": `Bearer realm="${realm ?? `http://${request.headers.host}/token`}"` },
          401,
        )(request, response),
      "GET /token": sends(answer),
    });
    await expect(model(home.host)).rejects.toMatchObject({
      code: expect.stringMatching(/unauthorized|server_unreachable/) as string,
    });
  });
});

describe("a login", () => {
  it("goes only to a server that asks for it, and nowhere that it redirects to", async () => {
    const other = await server({
      "GET /x": sends(MANIFEST),
      "GET /asks": sends("", { "www-authenticate": 'Basic realm="x"' }, 401),
    });
    const home = await registry(undefined, (request, response) => {
      if (request.headers.authorization === undefined)
        return sends("", { "www-authenticate": 'Basic realm="x"' }, 401)(request, response);
      return redirects(`${other.url}/x`)(request, response);
    });
    await model(home.host, { env: login(home.host) });
    expect(home.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, BASIC]);
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);

    const leads = await registry(undefined, (request, response) =>
      redirects(`${other.url}/asks`)(request, response),
    );
    await expect(model(leads.host, { env: login(other.host) })).rejects.toMatchObject({
      code: "unauthorized",
    });
    expect(other.requests.at(-1)?.headers.authorization).toBeUndefined();
  });
});
