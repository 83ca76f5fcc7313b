import type { LookupAddress } from "node:dns";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fetchMedia, type FetchMediaOptions, type Network } from "./fetch-media.ts";
import { isPublicAddress } from "./public-address.ts";

const PUBLIC = "93.184.216.34";
const PUBLIC_V6 = "2606:2800:220:1::1";
const PNG = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(1000)]);

/** What the name server says, one answer after the other; the last one stays. */
const names: Record<string, string[][]> = {
  "public.example": [[PUBLIC]],
  "v6.example": [[PUBLIC_V6]],
  "rebinding.example": [[PUBLIC], ["127.0.0.1"]],
  "private.example": [["10.1.2.3"]],
  "private6.example": [["fd00::1"]],
  "both.example": [[PUBLIC, "192.168.1.1"]],
  "cname.example": [["169.254.169.254"]],
  "metadata.google.internal": [["169.254.169.254"]],
  localhost: [["127.0.0.1"]],
  "localhost.": [["127.0.0.1"]],
  "nobody.example": [[]],
  "127.0.0.1.nip.io": [["127.0.0.1"]],
};

let asked: string[] = [];
let connected: string[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => answer(request, response));

/** Every connection ends at the loopback server, and is noted with the address that was meant. */
const network: Network = {
  async resolve(hostname) {
    asked.push(hostname);
    const answers = names[hostname] ?? [];
    const addresses = (answers.length > 1 ? answers.shift() : answers[0]) ?? [];
    return addresses.map((address): LookupAddress => ({ address, family: address.includes(":") ? 6 : 4 }));
  },
  connect({ address }) {
    connected.push(address);
    return connect((server.address() as AddressInfo).port, "127.0.0.1");
  },
};

beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  connected = [];
  answer = (_, response) => response.end(PNG);
});

const get = (url: string, options: FetchMediaOptions = {}): Promise<Uint8Array> =>
  fetchMedia(url, "images[0]", { network, ...options });

const REFUSED = {
  code: "media_not_found",
  message: "images[0] could not be fetched.",
  hint: "Give the https: URL of a public picture of at most 25 MiB, or send the picture itself.",
};

describe("a public picture", () => {
  it.each([
    "https://public.example/a/b.png?c=1",
    "https://v6.example",
    `https://${PUBLIC}/`,
    "https://PUBLIC。example/",
  ])("%s is fetched", async (url) => {
    expect(Buffer.from(await get(url)).equals(PNG)).toBe(true);
    expect(connected).toHaveLength(1);
  });

  it("is asked for with the least: no cookies, no compression", async () => {
    let seen: IncomingMessage | undefined;
    answer = (request, response) => {
      seen = request;
      response.setHeader("Set-Cookie", "a=b").end(PNG);
    };
    await get("https://public.example/a?b=c#d");
    expect(seen?.url).toBe("/a?b=c");
    expect(seen?.headers).toEqual({
      host: "public.example",
      accept: "image/*",
      "accept-encoding": "identity",
      "user-agent": "mull",
      connection: "close",
    });
  });

  it("may be behind three redirects", async () => {
    answer = ({ url }, response) => {
      const hop = Number(url?.slice(1));
      if (hop < 3) response.writeHead([301, 302, 307][hop]!, { Location: `/${hop + 1}` }).end();
      else response.end(PNG);
    };
    await expect(get("https://public.example/0")).resolves.toHaveLength(PNG.length);
  });

  it("is looked up once per hop, and the connection goes to the address that was checked", async () => {
    await get("https://rebinding.example/");
    expect([asked, connected]).toEqual([["rebinding.example"], [PUBLIC]]);
  });
});

const FORBIDDEN = [
  "http://public.example/",
  "http://127.0.0.1",
  "https://127.0.0.1",
  "https://127.1",
  "https://2130706433",
  "https://0x7f000001",
  "https://0177.0.0.1",
  "https://0",
  "https://0.0.0.0",
  "https://[::]",
  "https://[::1]",
  "https://[::ffff:127.0.0.1]",
  "https://[::ffff:7f00:1]",
  "https://[64:ff9b::7f00:1]",
  "https://[2002:7f00:1::]",
  "https://[fe80::1]",
  "https://[fd00::1]",
  "https://[ff02::1]",
  "https://169.254.169.254/latest/meta-data/",
  "https://10.0.0.1",
  "https://172.16.0.1",
  "https://192.168.0.1",
  "https://100.64.0.1",
  "https://255.255.255.255",
  "https://metadata.google.internal/",
  "https://localhost",
  "https://localhost.",
  "https://127.0.0.1.nip.io",
  "https://private.example",
  "https://private6.example",
  "https://both.example",
  "https://cname.example",
  "https://nobody.example",
  "https://unknown.example",
  String.raw`https://a.b\@127.0.0.1`,
  "https://good@public.example",
  "https://user:password@public.example",
  "https://good%00.evil",
  "https://127。0。0。1",
  "https://public.example:22",
  "https://public.example:25",
  "https://public.example:6379",
  "https://public.example:80",
  "file:///etc/passwd",
  "gopher://public.example/",
  "ftp://public.example/",
  "data:image/png;base64,iVBORw0KGgo=",
  "javascript:alert(1)",
  "//public.example/",
  "",
];

describe("what leads anywhere else", () => {
  it.each(FORBIDDEN)("%s is refused, in the same words, without a connection", async (url) => {
    await expect(get(url)).rejects.toMatchObject(REFUSED);
    expect(connected).toEqual([]);
  });

  it.each(FORBIDDEN.filter((url) => url !== "" && !url.startsWith("//")))(
    "is refused after a redirect to %s",
    async (url) => {
      answer = (_, response) =>
        void response.writeHead(302, { Location: Buffer.from(url).toString("latin1") }).end();
      await expect(get("https://public.example/")).rejects.toMatchObject(REFUSED);
      expect(connected).toEqual([PUBLIC]);
    },
  );

  it("a name that turns private between two redirects", async () => {
    names["turning.example"] = [[PUBLIC], ["10.0.0.1"]];
    answer = (_, response) => void response.writeHead(302, { Location: "/again" }).end();
    await expect(get("https://turning.example/")).rejects.toMatchObject(REFUSED);
    expect(connected).toEqual([PUBLIC]);
  });

  it("a loop of redirects", async () => {
    answer = (_, response) => void response.writeHead(302, { Location: "/" }).end();
    await expect(get("https://public.example/")).rejects.toMatchObject(REFUSED);
    expect(connected).toHaveLength(4);
  });
});

describe("an answer that is no picture", () => {
  const answers: Record<string, typeof answer> = {
    "a web page with a picture's name": (_, response) =>
      void response.setHeader("Content-Type", "image/png").end("<!doctype html><p>"),
    "an error": (_, response) => void response.writeHead(404).end(PNG),
    nothing: (_, response) => void response.end(),
    "compressed bytes": (_, response) =>
      void response.setHeader("Content-Encoding", "gzip").end(gzipSync(PNG)),
    "a connection that breaks": (_, response) => void response.socket?.destroy(),
    "less than was announced": (_, response) => {
      response.writeHead(200, { "Content-Length": "5000" });
      response.write(PNG, () => response.socket?.destroy());
    },
    "a length over the limit": (_, response) =>
      response.writeHead(200, { "Content-Length": "10000000000" }).flushHeaders(),
    "bytes without end": (_, response) => {
      response.write(PNG);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", more);
      more();
    },
  };

  it.each(Object.keys(answers))("%s", async (name) => {
    answer = answers[name]!;
    await expect(get("https://public.example/x.png", { limitBytes: 1_000_000 })).rejects.toMatchObject(
      REFUSED,
    );
  });

  it.each(["silence", "a byte at a time"])("%s, until the time is over", async (name) => {
    answer = (_, response) => {
      if (name === "silence") return;
      response.write(PNG);
      const timer = setInterval(() => response.write("x"), 5);
      response.on("close", () => clearInterval(timer));
    };
    await expect(get("https://public.example/", { timeLimitMs: 50 })).rejects.toMatchObject(REFUSED);
  });

  it("a name server that does not answer", async () => {
    const silent = { ...network, resolve: () => new Promise<never>(() => {}) };
    await expect(get("https://public.example/", { timeLimitMs: 20, network: silent })).rejects.toMatchObject(
      REFUSED,
    );
  });

  it("the caller who leaves", async () => {
    const leave = new AbortController();
    answer = () => leave.abort();
    await expect(get("https://public.example/", { signal: leave.signal })).rejects.toMatchObject({
      code: "aborted",
    });
    await expect(get("https://public.example/", { signal: leave.signal })).rejects.toMatchObject({
      code: "aborted",
    });
  });
});

describe("public addresses", () => {
  it.each([PUBLIC, PUBLIC_V6, "8.8.8.8", "1.1.1.1", "2a00:1450::1", "172.32.0.1", "100.128.0.1"])(
    "%s",
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  it.each([
    "",
    "x",
    "127.1",
    "fe80::1%eth0",
    "::127.0.0.1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "198.18.0.1",
    "192.0.0.8",
    "224.0.0.1",
    "64:ff9b:1::1",
  ])("%j is none", (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});
