import { createServer as createTcpServer, connect, type AddressInfo } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { freeAddress, loopbackServer, type LoopbackRoute } from "../../../test/support/loopback-server.ts";
import { SELF_SIGNED } from "../../../test/support/self-signed.ts";
import { createHttpClient, type HttpClientOptions } from "./create-http-client.ts";
import type { HttpClient } from "./http-client.ts";
import { readJson, requireOk } from "./response-error.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

function client(options: Partial<HttpClientOptions> = {}): HttpClient {
  const made = createHttpClient({ env: {}, ...options });
  closing.push(() => made.close());
  return made;
}

async function server(routes: Record<string, LoopbackRoute>): ReturnType<typeof loopbackServer> {
  const made = await loopbackServer(routes);
  closing.push(async () => made[Symbol.asyncDispose]());
  return made;
}

const WHAT = { subject: "The model x", credentialsHint: "Log in." };
const redirect =
  (location: string, status = 302): LoopbackRoute =>
  (_, response) =>
    void response.writeHead(status, { location }).end();

describe("a request", () => {
  it("is as small as can be, and its answer is not touched", async () => {
    const { url, requests, host } = await server({ "GET /a?b=c": (_, response) => void response.end("hi") });
    const response = await client({ userAgent: "me/1" }).send({
      url: `${url}/a?b=c`,
      authorization: "Bearer x",
    });
    expect([response.status, Buffer.from(await response.bytes()).toString()]).toEqual([200, "hi"]);
    expect(requests[0]?.headers).toEqual({
      host,
      connection: "keep-alive",
      "user-agent": "me/1",
      "accept-encoding": "identity",
      authorization: "Bearer x",
    });
  });

  it("streams a body, once more at a redirect that keeps it", async () => {
    const { url, requests } = await server({
      "PATCH /old": redirect("/new", 307),
      "PATCH /new": (_, response) => void response.writeHead(202).end(),
    });
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from("ab");
      yield Buffer.from("cd");
    };
    const headers = { "content-length": "4" };
    const response = await client().send({ method: "PATCH", url: `${url}/old`, headers, body });
    expect(response.status).toBe(202);
    expect(requests.map((request) => [request.path, request.body.toString()])).toEqual([
      ["/old", "abcd"],
      ["/new", "abcd"],
    ]);
  });

  it.each(["ftp://host/x", "file:///etc/passwd", "nonsense", "http://"])("does not go to %s", async (url) => {
    await expect(client().send({ url })).rejects.toMatchObject({ code: "invalid_argument" });
  });

  it.each(["http://registry.example/v2/", "http://10.0.0.1/", "http://localhost.example/"])(
    "goes to %s, without encryption, only when that is allowed",
    async (url) => {
      await expect(client().send({ url })).rejects.toMatchObject({
        code: "invalid_argument",
        message: expect.stringMatching(/is not encrypted/),
      });
    },
  );

  it("ends when it is cancelled: before, while waiting, and while reading", async () => {
    const { url } = await server({
      "GET /silent": () => {},
      "GET /half": (_, response) => void response.write("half"),
    });
    const gone = AbortSignal.abort();
    await expect(client().send({ url, signal: gone })).rejects.toMatchObject({ code: "aborted" });
    const waiting = new AbortController();
    const sent = client().send({ url: `${url}/silent`, signal: waiting.signal });
    setTimeout(() => waiting.abort(), 20);
    await expect(sent).rejects.toMatchObject({ code: "aborted" });
    const reading = new AbortController();
    const { body } = await client().send({ url: `${url}/half`, signal: reading.signal });
    const read = (async () => {
      for await (const _ of body) reading.abort();
    })();
    await expect(read).rejects.toMatchObject({ code: "aborted" });
  });

  it("ends its connection when the reader leaves", async () => {
    const { url, requests } = await server({
      "GET /": (_, response) => void response.write("x".repeat(100)),
    });
    const { body } = await client().send({ url });
    for await (const _ of body) break;
    await expect(requests[0]?.closed).resolves.toBeUndefined();
  });
});

describe("redirects", () => {
  it("are followed to the end, which is told", async () => {
    const { url } = await server({
      "GET /a": redirect("b", 301),
      "GET /b": redirect("/c?d=e#f", 308),
      "GET /c?d=e": (_, response) => void response.end("end"),
    });
    const response = await client().send({ url: `${url}/a` });
    expect([response.url.href, Buffer.from(await response.bytes()).toString()]).toEqual([
      `${url}/c?d=e`,
      "end",
    ]);
  });

  it("take no authorization to another origin, nor back again", async () => {
    const other = await server({
      "GET /there": (request, response) => redirect(`${home.url}/back`)(request, response),
    });
    const home = await server({
      "GET /": redirect("/same"),
      "GET /same": (request, response) => redirect(`${other.url}/there`)(request, response),
      "GET /back": (_, response) => void response.end(),
    });
    await client().send({ url: home.url, authorization: "Bearer secret" });
    expect(home.requests.map(({ path, headers }) => [path, headers.authorization])).toEqual([
      ["/", "Bearer secret"],
      ["/same", "Bearer secret"],
      ["/back", undefined],
    ]);
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
  });

  it("to another origin can be left to the caller", async () => {
    const { url } = await server({
      "HEAD /a": redirect("/b", 307),
      "HEAD /b": (_, response) =>
        void response.writeHead(302, { location: "https://cdn.example/x?sig=1", "x-linked-size": "7" }).end(),
    });
    const response = await client().send({ method: "HEAD", url: `${url}/a`, redirects: "same-origin" });
    expect([response.status, response.headers["x-linked-size"], response.redirect?.href]).toEqual([
      302,
      "7",
      "https://cdn.example/x?sig=1",
    ]);
  });

  it("end after ten", async () => {
    const { url, requests } = await server({ "GET /": redirect("/") });
    await expect(client().send({ url })).rejects.toMatchObject({
      code: "server_unreachable",
      details: { reason: "redirect" },
      message: expect.stringMatching(/redirects more than 10 times/),
    });
    expect(requests).toHaveLength(11);
  });

  it.each(["http://registry.example/x", "file:///etc/passwd", "javascript:alert(1)", "https://"])(
    "to %s are refused",
    async (location) => {
      const { url } = await server({ "GET /": redirect(location) });
      await expect(client().send({ url })).rejects.toMatchObject({ details: { reason: "redirect" } });
    },
  );

  it("turn POST into GET where they always did, and then have no body", async () => {
    const { url, requests } = await server({
      "POST /": redirect("/seen", 303),
      "GET /seen": (_, response) => void response.end(),
    });
    await client().send({
      method: "POST",
      url,
      headers: { "content-type": "text/plain", accept: "*/*" },
      body: Buffer.from("x"),
    });
    expect(requests[1]).toMatchObject({ method: "GET", headers: { accept: "*/*" } });
    expect(requests[1]?.headers["content-type"]).toBeUndefined();
  });
});

describe("answers", () => {
  it.each(["gzip", "br", "GZIP, identity"])("that are compressed (%s) are refused", async (encoding) => {
    const { url } = await server({
      "GET /": (_, response) =>
        void response.writeHead(200, { "content-encoding": encoding }).end(gzipSync(Buffer.alloc(1 << 20))),
    });
    await expect(client().send({ url })).rejects.toMatchObject({
      code: "server_unreachable",
      message: expect.stringMatching(/is compressed/),
    });
  });

  it("are read up to a limit, whether it is announced or not", async () => {
    const { url } = await server({
      "GET /announced": (_, response) => void response.end(Buffer.alloc(5 << 20)),
      "GET /endless": (_, response) => {
        const more = (): void => void (response.destroyed || response.write(Buffer.alloc(1 << 16), more));
        more();
      },
    });
    for (const path of ["announced", "endless"]) {
      const response = await client().send({ url: `${url}/${path}` });
      await expect(response.bytes()).rejects.toThrow(/more than 4194304 bytes/);
    }
  });

  it("that never begin, or never end, run out of time", async () => {
    const { url } = await server({
      "GET /silent": () => {},
      "GET /half": (_, response) => void response.write("{"),
    });
    const hurried = client({ timeouts: { headers: 100, wholeBody: 100 } });
    await expect(hurried.send({ url: `${url}/silent` })).rejects.toMatchObject({
      code: "server_unreachable",
      details: { reason: "timeout" },
    });
    const half = await hurried.send({ url: `${url}/half` });
    await expect(half.bytes()).rejects.toMatchObject({ details: { reason: "timeout" } });
  });

  it("that break off are told from whole ones", async () => {
    const { url } = await server({
      "GET /": (_, response) => {
        response.writeHead(200, { "content-length": "100" }).write("half");
        setTimeout(() => response.destroy(), 20);
      },
    });
    const response = await client().send({ url });
    await expect(response.bytes()).rejects.toMatchObject({
      code: "server_unreachable",
      details: { reason: "reset" },
    });
  });

  it.each([
    ["a web page", "text/html", "<!doctype html><p>Sign in", /a web page instead of JSON/],
    ["a web page that hides", "application/json", " <html>", /a web page instead of JSON/],
    ["nothing", "application/json", "", /nothing instead of JSON/],
    ["half of it", "application/json", '{"a":', /no JSON/],
  ])("that should be JSON and are %s", async (_, type, text, message) => {
    const { url } = await server({
      "GET /": (_request, response) => void response.writeHead(200, { "content-type": type }).end(text),
    });
    const read = client().send({ url }).then(readJson);
    await expect(read).rejects.toMatchObject({ code: "server_unreachable", message });
  });
});

describe("statuses", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  it.each([
    [401, {}, { code: "unauthorized", hint: "Log in." }],
    [403, {}, { code: "unauthorized" }],
    [404, {}, { code: "model_not_found" }],
    [410, {}, { code: "model_not_found" }],
    [429, { "retry-after": "7" }, { code: "rate_limited", details: { status: 429, retryAfterSeconds: 7 } }],
    [
      429,
      { "retry-after": "Thu, 01 Jan 2026 00:02:00 GMT" },
      { code: "rate_limited", details: { retryAfterSeconds: 120 } },
    ],
    [
      503,
      { "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" },
      { code: "server_busy", details: { retryAfterSeconds: 0 } },
    ],
    [503, { "retry-after": "soon" }, { code: "server_busy", details: { status: 503 } }],
    [503, { "retry-after": "999999999" }, { details: { retryAfterSeconds: 86_400 } }],
    [500, {}, { code: "server_unreachable", message: expect.stringMatching(/status 500/) }],
    [418, {}, { code: "server_unreachable" }],
  ])("%i %j", async (status, headers, error) => {
    const { url } = await server({
      "GET /": (_, response) => void response.writeHead(status, headers).end(),
    });
    const http = client({ clock: { now: () => now } });
    const sent = http.send({ url }).then((response) => requireOk(response, http, WHAT));
    await expect(sent).rejects.toMatchObject(error);
  });

  it.each([
    ['{"errors":[{"code":"X","message":"no such tag"}]}', "no such tag"],
    ['{"error":"not yours"}', "not yours"],
    ['{"errors":[{"code":"DENIED"}]}', "DENIED"],
    ["plain\u001B[31m red\r\n\u202Eback", "plain [31m red back"],
    ["x".repeat(1000), `${"x".repeat(200)}…`],
  ])("repeat what the server says, and nothing that a terminal obeys: %j", async (body, shown) => {
    const { url } = await server({ "GET /": (_, response) => void response.writeHead(404).end(body) });
    const http = client();
    const error = await requireOk(await http.send({ url }), http, WHAT).catch(
      (error: Error) => error.message,
    );
    expect(error).toBe(`The model x is not at ${new URL(url).host}. It says: ${shown}`);
  });
});

describe("a server that is not there", () => {
  it("refuses the connection", async () => {
    await expect(client().send({ url: `http://${await freeAddress()}` })).rejects.toMatchObject({
      code: "server_unreachable",
      message: expect.stringMatching(/refuses the connection/),
      details: { reason: "refused" },
    });
  });

  it("has no name", async () => {
    await expect(client().send({ url: "https://nobody.invalid" })).rejects.toMatchObject({
      code: "server_unreachable",
      details: { reason: "name" },
    });
  });

  it("speaks no TLS", async () => {
    const { host } = await server({});
    await expect(client().send({ url: `https://${host}` })).rejects.toMatchObject({
      code: "server_unreachable",
      details: { reason: "tls" },
    });
  });

  it("has a certificate that nobody trusts", async () => {
    const tls = createTlsServer(SELF_SIGNED, () => {});
    await new Promise<void>((resolve) => void tls.listen(0, "127.0.0.1", resolve));
    closing.push(async () => tls.close());
    const url = `https://127.0.0.1:${(tls.address() as AddressInfo).port}`;
    await expect(client().send({ url })).rejects.toMatchObject({
      code: "server_unreachable",
      message: expect.stringMatching(/certificate is not trusted \(depth zero self signed cert\)/),
      hint: expect.stringContaining("NODE_EXTRA_CA_CERTS") as string,
      details: { reason: "certificate" },
    });
  });

  it("resets", async () => {
    const { url } = await server({ "GET /": (_, response) => void response.socket?.resetAndDestroy() });
    await expect(client().send({ url })).rejects.toMatchObject({ details: { reason: "reset" } });
  });
});

describe("a proxy", () => {
  it.each(["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])("that %s names is gone through", async (variable) => {
    const proxy = await connectProxy();
    const http = client({ env: { [variable]: `http://me:pass@127.0.0.1:${proxy.port}` } });
    const sent = http.send({ url: "https://registry.example/v2/" });
    await expect(sent).rejects.toMatchObject({ code: "server_unreachable" });
    expect(proxy.asked[0]).toMatch(/^CONNECT registry\.example:443 HTTP\/1\.1\r\n/);
    expect(proxy.asked[0]?.toLowerCase()).toContain(
      `proxy-authorization: basic ${Buffer.from("me:pass").toString("base64")}`.toLowerCase(),
    );
  });

  it("carries plain http too, where that is allowed", async () => {
    const { host } = await server({ "GET /": (_, response) => void response.end("through") });
    const proxy = await connectProxy(host);
    const http = client({ env: { http_proxy: `127.0.0.1:${proxy.port}` } });
    const response = await http.send({ url: "http://registry.example/", allowPlainHttp: true });
    expect(Buffer.from(await response.bytes()).toString()).toBe("through");
    expect(proxy.asked).toHaveLength(1);
  });

  it("is not asked for what NO_PROXY names, nor for this machine", async () => {
    const { url } = await server({ "GET /": (_, response) => void response.end() });
    const proxy = await connectProxy();
    const env = { ALL_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: "nobody.invalid" };
    await client({ env }).send({ url });
    await expect(client({ env }).send({ url: "https://x.nobody.invalid" })).rejects.toMatchObject({
      details: { reason: "name" },
    });
    expect(proxy.asked).toEqual([]);
  });

  it("that wants a password, or is none, is said to", async () => {
    const proxy = await connectProxy("", 407);
    const sent = client({ env: { ALL_PROXY: `http://127.0.0.1:${proxy.port}` } }).send({
      url: "https://registry.example",
    });
    await expect(sent).rejects.toMatchObject({
      message: expect.stringMatching(/the proxy answers with status 407/),
      details: { reason: "proxy" },
    });
    expect(() => client({ env: { HTTPS_PROXY: "gopher://x" } })).toThrow(/HTTPS_PROXY is not the address/);
  });

  /** @param target `host:port`, where every connection ends, whatever was asked for; none: it closes */
  async function connectProxy(target = "", status = 200): Promise<{ port: number; asked: string[] }> {
    const asked: string[] = [];
    const proxy = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (head) => {
        asked.push(head.toString());
        socket.write(`HTTP/1.1 ${status} x\r\n\r\n`);
        if (target === "") {
          socket.end();
          return;
        }
        const [host = "", port] = target.split(":");
        const upstream = connect(Number(port), host).on("error", () => socket.destroy());
        socket.pipe(upstream).pipe(socket);
      });
    });
    await new Promise<void>((resolve) => void proxy.listen(0, "127.0.0.1", resolve));
    closing.push(async () => proxy.close());
    return { port: (proxy.address() as AddressInfo).port, asked };
  }
});
