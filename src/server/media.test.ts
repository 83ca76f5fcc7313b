import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  fakeContext,
  fakeModel,
  fakePool,
  type FakeServer,
  RECEIPT,
} from "../../test/support/fake-server.ts";
import { MullError } from "../spec/errors.ts";
import type { InspectOptions } from "../spec/model.ts";
import type { MediaSource } from "../spec/message.ts";
import { createApp } from "./create-app.ts";
import { inspectRoutes } from "./inspect-route.ts";
import { mediaRoutes } from "./media-routes.ts";
import { MemoryMediaStore } from "./memory-media-store.ts";
import { countImages, createReadMediaInput } from "./read-media-input.ts";
import type { ServerOptions } from "./server-options.ts";

const PNG = new Uint8Array(Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(50, 3)]));
const BASE64 = Buffer.from(PNG).toString("base64");
const SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>";

function bytes(size: number, fill: number): Uint8Array {
  return new Uint8Array(size).fill(fill);
}

describe("MemoryMediaStore", () => {
  it("gives a client what it put, and nobody else", () => {
    const store = new MemoryMediaStore();
    const { sha256 } = store.put("a", PNG);
    expect(sha256).toBe(createHash("sha256").update(PNG).digest("hex"));
    expect(store.get("a", sha256)?.bytes).toBe(PNG);
    expect(store.get("b", sha256)).toBeUndefined();
    expect(store.get("a", "0".repeat(64))).toBeUndefined();
  });

  it("forgets what is old", () => {
    let now = 0;
    const store = new MemoryMediaStore({ keepMs: 100, now: () => now });
    const { sha256, expiresAt } = store.put("a", PNG);
    expect(expiresAt).toEqual(new Date(100));
    now = 99;
    expect(store.get("a", sha256)).toBeDefined();
    now = 100;
    expect(store.get("a", sha256)).toBeUndefined();
    store.sweep();
    expect(store.bytes).toBe(0);
  });

  it("holds no more than its limit; who holds most loses what it used least recently", () => {
    const store = new MemoryMediaStore({ limitBytes: 100 });
    const small = store.put("small", bytes(20, 1));
    const [first, second] = [store.put("large", bytes(30, 2)), store.put("large", bytes(30, 3))];
    store.get("large", first.sha256);
    const third = store.put("large", bytes(30, 4));
    expect(store.bytes).toBe(80);
    const kept = [first, second, third].map(({ sha256 }) => store.get("large", sha256) !== undefined);
    expect(kept).toEqual([true, false, true]);
    expect(store.get("small", small.sha256)).toBeDefined();
    for (let fill = 5; fill < 50; fill++) store.put("flood", bytes(40, fill));
    expect(store.get("small", small.sha256)).toBeDefined();
    expect(store.bytes).toBeLessThanOrEqual(100);
    expect(() => store.put("large", bytes(101, 0))).toThrow(MullError);
  });

  it("counts the same picture once", () => {
    const store = new MemoryMediaStore();
    for (let times = 0; times < 3; times++) store.put("a", PNG);
    expect(store.bytes).toBe(PNG.length);
  });
});

interface Setting {
  app: ReturnType<typeof createApp>;
  server: FakeServer;
  inspected: [MediaSource, InspectOptions | undefined][];
}

function start(options: Partial<ServerOptions> = {}, tokens = 36): Setting {
  const inspected: Setting["inspected"] = [];
  const model = {
    ...fakeModel(),
    inspect: async (media: MediaSource, given?: InspectOptions) => {
      inspected.push([media, given]);
      return { ...RECEIPT, name: given?.name ?? "", tokens };
    },
  };
  const server = fakeContext({ options, media: new MemoryMediaStore(), models: fakePool(model) });
  return { app: createApp(server, [mediaRoutes, inspectRoutes()]), server, inspected };
}

describe("POST /api/media", () => {
  it("keeps a picture for who has sent it", async () => {
    const { app, server } = start({ apiKeys: ["k1", "k2"] });
    const send = (key: string): RequestInit => ({ method: "POST", body: PNG, headers: { "x-api-key": key } });
    const response = await app.request("/api/media", send("k1"));
    expect(response.status).toBe(200);
    const answer = (await response.json()) as { digest: string; expires_at: string };
    expect(answer).toMatchObject({ bytes: PNG.length, format: "png" });
    expect(Date.parse(answer.expires_at)).toBeGreaterThan(Date.now());
    const sha256 = answer.digest.slice("sha256:".length);
    const client = (key: string): string => createHash("sha256").update(key).digest("hex");
    expect(server.media.get(client("k1"), sha256)?.bytes).toEqual(PNG);
    expect(server.media.get(client("k2"), sha256)).toBeUndefined();
  });

  it.each([
    ["nothing", "", 400, "missing request body"],
    ["text", "hello", 415, "The upload is text, not a picture."],
    ["a web page", "<html></html>", 415, "The upload is a web page, not a picture."],
  ])("refuses %s", async (_, body, status, complaint) => {
    const response = await start().app.request("/api/media", { method: "POST", body });
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: { message: string } }).error.message).toContain(complaint);
  });

  it("refuses what is over the limit before it reads it", async () => {
    const headers = { "Content-Length": String(64 * 1024 ** 2 + 1) };
    const response = await start().app.request("/api/media", { method: "POST", body: PNG, headers });
    expect(response.status).toBe(413);
  });
});

describe("readMediaInput", () => {
  const fetched: string[] = [];
  const read = createReadMediaInput(async (url) => {
    fetched.push(url);
    return PNG;
  });
  const input = (value: unknown, server = start().server): Promise<MediaSource> =>
    read(value, "images[0]", { context: server, client: "a", signal: new AbortController().signal });

  it.each([
    ["bytes", PNG],
    ["base64", BASE64],
    ["base64 with line breaks", BASE64.replaceAll(/(.{20})/g, "$1\n")],
    ["base64url without padding", Buffer.from(PNG).toString("base64url")],
    ["a data: URL", `data:image/png;base64,${BASE64}`],
    ["a data: URL of another type", `data:;base64,${BASE64}`],
    ["a data: URL with escapes", `data:image/png;base64,${encodeURIComponent(BASE64)}`],
  ])("takes %s", async (_, value) => {
    expect(Buffer.from((await input(value)) as Uint8Array).equals(PNG)).toBe(true);
  });

  it("takes an SVG in percent-encoding, and a JPEG whose base64 begins like a path", async () => {
    const svg = await input(`data:image/svg+xml,${encodeURIComponent(SVG)}`);
    expect(Buffer.from(svg as Uint8Array).toString()).toBe(SVG);
    expect(await input("/9j/4AAQSkZJRgABAQEAYABgAAD/")).toBeInstanceOf(Uint8Array);
  });

  it("takes the digest of an upload of the same client only", async () => {
    const { server } = start();
    const { sha256 } = server.media.put("a", PNG);
    expect(await input(`sha256:${sha256}`, server)).toBe(PNG);
    const other = { context: server, client: "b", signal: new AbortController().signal };
    await expect(read(`sha256:${sha256}`, "images[0]", other)).rejects.toMatchObject({
      code: "media_not_found",
    });
    await expect(input("sha256:../../etc/passwd")).rejects.toMatchObject({ code: "invalid_media" });
  });

  it("fetches https: URLs if the server may, never http:", async () => {
    const url = "https://public.example/a.png";
    await expect(input(url)).rejects.toMatchObject({ code: "forbidden" });
    expect(fetched).toEqual([]);
    const { server } = start({ allowUrls: true });
    expect(await input(url, server)).toBe(PNG);
    await expect(input("http://public.example/a.png", server)).rejects.toMatchObject({ code: "forbidden" });
    expect(fetched).toEqual([url]);
  });

  it.each([
    ["/etc/passwd", "invalid_media"],
    ["./smile.png", "invalid_media"],
    ["~/smile.png", "invalid_media"],
    ["../../smile.png", "invalid_media"],
    ["smile.png", "invalid_media"],
    [String.raw`C:\smile.png`, "invalid_media"],
    [String.raw`\\host\share\smile.png`, "invalid_media"],
    ["file:///etc/passwd", "invalid_media"],
    ["ftp://public.example/a.png", "invalid_media"],
    ["javascript:alert(1)", "invalid_media"],
    ["", "invalid_media"],
    [`${BASE64}!`, "invalid_media"],
    [`data:image/png;base64,${BASE64}!`, "invalid_media"],
    ["data:image/png", "invalid_media"],
    [Buffer.from("hello world").toString("base64"), "unsupported_media"],
    [new Uint8Array(0), "invalid_media"],
    ["data:image/png;base64,", "invalid_media"],
    [3, "invalid_argument"],
    [undefined, "invalid_argument"],
  ])("refuses %j", async (value, code) => {
    const error = await input(value).catch((thrown: unknown) => thrown as MullError);
    expect(error).toMatchObject({ code });
    expect((error as MullError).message).toContain("images[0]");
  });

  it("lets a request have only so many", () => {
    const { server } = start({ maxImages: 2 });
    expect(() => countImages(2, server)).not.toThrow();
    expect(() => countImages(3, server)).toThrow("The request has 3 pictures; this server takes at most 2");
  });
});

describe("POST /api/inspect", () => {
  const ask = (app: Setting["app"], body: unknown): Promise<Response> | Response =>
    app.request("/api/inspect", { method: "POST", body: JSON.stringify(body) });

  it("gives a receipt per picture, in order, and what they cost together", async () => {
    const { app, inspected } = start();
    const response = await ask(app, {
      model: "pico",
      images: [BASE64, BASE64],
      detail: "low",
      max_tokens: 9,
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      receipts: [
        { ...RECEIPT, name: "image 1" },
        { ...RECEIPT, name: "image 2" },
      ],
      tokens: 72,
    });
    expect(inspected[1]).toMatchObject([PNG, { name: "image 2", detail: "low", maxTokens: 9 }]);
  });

  it.each([
    [{ images: [BASE64] }, 400, "model is required."],
    [{ model: "pico", images: [] }, 400, "images"],
    [{ model: "none", images: [BASE64] }, 404, "model 'none' not found"],
    [{ model: "pico", images: ["?"] }, 400, "images[0] cannot be read"],
    [{ model: "pico", images: Array.from({ length: 17 }, () => BASE64) }, 400, "17 pictures"],
    [{ model: "pico", images: [BASE64], max_tokens: 0 }, 400, "max_tokens"],
  ])("refuses %j", async (body, status, complaint) => {
    const { app, server } = start();
    const response = await ask(app, body);
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: { message: string } }).error.message).toContain(complaint);
    expect(server.models.loaded()[0]?.leases).toBe(0);
  });
});
