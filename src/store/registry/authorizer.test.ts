import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { HttpClient, HttpRequest, HttpResponse } from "../http/http-client.ts";
import { createAuthorizer } from "./authorizer.ts";

const home = mkdtempSync(join(tmpdir(), "mull-test-authorizer-"));
afterAll(() => rmSync(home, { recursive: true }));
mkdirSync(join(home, ".ollama"));
const publicKey = writeKey(join(home, ".ollama", "id_ed25519"));
const env = {
  HOME: home,
  DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { "ghcr.io": { auth: "bWU6cGFzcw==" } } }),
};

/** Everything that would have gone to the internet. */
function internet(challengeOf: (origin: string) => string): { client: HttpClient; sent: HttpRequest[] } {
  const sent: HttpRequest[] = [];
  const client: HttpClient = {
    async send(request) {
      sent.push(request);
      const url = new URL(request.url);
      if (url.pathname === "/token") return await Promise.resolve(response(url, 200, {}, '{"token":"t"}'));
      const isIn = request.authorization === "Bearer t";
      const headers = { "www-authenticate": challengeOf(url.origin) };
      return await Promise.resolve(isIn ? response(url, 200) : response(url, 401, headers));
    },
    clock: { now: () => 0, sleep: async () => await Promise.resolve() },
    close: async () => await Promise.resolve(),
  };
  return { client, sent };
}

function response(url: URL, status: number, headers = {}, body = ""): HttpResponse {
  const bytes = async (): Promise<Uint8Array> => await Promise.resolve(Buffer.from(body));
  const none = { [Symbol.asyncIterator]: async function* () {} };
  return { status, headers, url, redirect: undefined, body: none, bytes, discard: () => {} };
}

const ask = async (origin: string, realm = `${origin}/token`): Promise<HttpRequest[]> => {
  const { client, sent } = internet(() => `Bearer realm="${realm}",service="x",scope="repository:a/b:pull"`);
  const authorizer = createAuthorizer({ client, origin, env, allowPlainHttp: false });
  const answer = await authorizer.send({ url: `${origin}/v2/a/b/manifests/c` }, "pull");
  expect(answer.status).toBe(200);
  return sent;
};

describe("Ollama's key", () => {
  it.each(["https://registry.ollama.ai", "https://ollama.com"])(
    "signs the request for a token of %s",
    async (origin) => {
      const [, token] = await ask(origin);
      expect(token?.authorization).toMatch(
        new RegExp(`^${publicKey.replaceAll("+", String.raw`\+`)}:[\\w+/]{86}==$`),
      );
      expect([...new URL(token?.url ?? "").searchParams.keys()]).toEqual(["nonce", "scope", "service", "ts"]);
    },
  );

  it.each([
    ["https://ghcr.io", "Basic bWU6cGFzcw=="],
    ["https://quay.io", undefined],
    ["https://registry.ollama.ai:444", undefined],
    ["http://registry.ollama.ai", undefined],
  ])("is not shown to %s", async (origin, authorization) => {
    const sent = await ask(origin);
    expect(sent.map((request) => request.authorization)).toEqual([undefined, authorization, "Bearer t"]);
    expect(JSON.stringify(sent)).not.toContain(publicKey);
  });

  it("is not shown to who asks in the registry's name for a token elsewhere", async () => {
    for (const realm of [
      "https://ollama.com/token",
      "http://registry.ollama.ai/token",
      "https://registry.ollama.ai:444/token",
    ]) {
      await expect(ask("https://registry.ollama.ai", realm)).rejects.toMatchObject({
        code: "unauthorized",
        message: expect.stringMatching(/wants a token from/),
      });
    }
  });
});

describe("tokens", () => {
  it("are one for pulling and one for pushing", async () => {
    const { client, sent } = internet((origin) => `Bearer realm="${origin}/token"`);
    const origin = "https://quay.io";
    const authorizer = createAuthorizer({ client, origin, env, allowPlainHttp: false });
    for (const access of ["pull", "push", "pull", "push"] as const) {
      await authorizer.send({ url: `${origin}/v2/a/b/blobs/c` }, access);
    }
    expect(sent.filter(({ url }) => new URL(url).pathname === "/token")).toHaveLength(2);
    expect(sent).toHaveLength(8);
  });

  it("do not go to another origin, even when a request does", async () => {
    const { client, sent } = internet((origin) => `Bearer realm="${origin}/token"`);
    const authorizer = createAuthorizer({ client, origin: "https://quay.io", env, allowPlainHttp: false });
    await authorizer.send({ url: "https://quay.io/v2/a/b/blobs/c" }, "push");
    await authorizer.send({ url: "https://storage.example/upload" }, "push");
    expect(sent.at(-1)).toMatchObject({ url: "https://storage.example/upload" });
    expect(sent.at(-1)?.authorization).toBeUndefined();
  });

  it("are waited for no longer than the caller wants", async () => {
    const { client } = internet((origin) => `Bearer realm="${origin}/token"`);
    const never: HttpClient = {
      ...client,
      send: async (request) =>
        new URL(request.url).pathname === "/token" ? await new Promise(() => {}) : await client.send(request),
    };
    const origin = "https://quay.io";
    const authorizer = createAuthorizer({ client: never, origin, env, allowPlainHttp: false });
    const stop = new AbortController();
    const sent = authorizer.send({ url: `${origin}/v2/`, signal: stop.signal }, "pull");
    setTimeout(() => stop.abort(), 10);
    await expect(sent).rejects.toMatchObject({ code: "aborted" });
  });
});

/** As ssh-keygen writes it. @returns the public key in base64 */
function writeKey(path: string): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { x = "", d = "" } = createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" })).export({
    format: "jwk",
  });
  const [half, seed] = [Buffer.from(x, "base64url"), Buffer.from(d, "base64url")];
  const field = (bytes: string | Uint8Array): Buffer => {
    const content = Buffer.from(bytes as Uint8Array);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(content.length);
    return Buffer.concat([length, content]);
  };
  const publicKey = Buffer.concat([field("ssh-ed25519"), field(half)]);
  const check = Buffer.alloc(8, 7);
  const secret = Buffer.concat([check, publicKey, field(Buffer.concat([seed, half])), field("me")]);
  const one = Buffer.from([0, 0, 0, 1]);
  const magic = Buffer.from("openssh-key-v1\0");
  const file = Buffer.concat([
    magic,
    field("none"),
    field("none"),
    field(""),
    one,
    field(publicKey),
    field(secret),
  ]);
  const lines = file.toString("base64").replaceAll(/.{70}/g, "$&\n");
  writeFileSync(path, `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`);
  return publicKey.toString("base64");
}
