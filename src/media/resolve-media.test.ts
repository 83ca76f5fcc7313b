import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MediaSource } from "../spec/message.ts";
import { type ResolveOptions, resolveMedia } from "./resolve-media.ts";

// The smallest PNG: one black pixel.
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
  "base64",
);

let folder = "";
const at = (name: string): string => path.join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "mull-media-"));
  writeFileSync(at("cat.png"), PNG);
  writeFileSync(at("my cat#1.png"), PNG);
  writeFileSync(at("empty.png"), "");
  writeFileSync(at("notes.png"), "These are notes.\n");
  writeFileSync(at("page.png"), "<!doctype html><title>404</title>");
  writeFileSync(at("photo.jpg"), Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "latin1"));
  mkdirSync(at("folder.png"));
  writeFileSync(at("big.png"), PNG);
  truncateSync(at("big.png"), 65 * 1024 ** 2);
  writeFileSync(at("big.svg"), `<svg xmlns="http://www.w3.org/2000/svg">${" ".repeat(5 * 1024 ** 2)}</svg>`);
});

afterAll(() => rmSync(folder, { recursive: true }));

function resolve(
  source: MediaSource,
  options: Partial<ResolveOptions> = {},
): ReturnType<typeof resolveMedia> {
  return resolveMedia(source, { index: 0, ...options });
}

describe("resolveMedia", () => {
  it.each<[string, () => MediaSource, string]>([
    ["bytes", () => PNG, "image 1"],
    ["a Blob", () => new Blob([PNG]), "image 1"],
    ["a File", () => new File([PNG], "cat.png"), "cat.png"],
    ["a path", () => at("cat.png"), "PATH/cat.png"],
    ["a file: string", () => pathToFileURL(at("my cat#1.png")).href, "URL/my%20cat%231.png"],
    ["a file: URL", () => pathToFileURL(at("cat.png")), "URL/cat.png"],
    ["a base64 data: URL", () => `data:image/jpeg;base64,${PNG.toString("base64")}`, "image 1"],
    [
      "base64 of the URL alphabet, without padding",
      () => `data:;base64,${PNG.toString("base64url")}`,
      "image 1",
    ],
    ["escaped base64", () => `data:;base64,${encodeURIComponent(PNG.toString("base64"))}`, "image 1"],
    [
      "a percent-encoded data: URL",
      () => new URL(`data:,${PNG.toString("hex").replace(/../g, "%$&")}`),
      "image 1",
    ],
  ])("takes %s", async (_, source, name) => {
    const item = await resolve(source());
    expect(item).toMatchObject({ kind: "image", format: "png" });
    expect(Buffer.from(item.bytes).equals(PNG)).toBe(true);
    expect(item.sha256).toBe(createHash("sha256").update(PNG).digest("hex"));
    expect(item.name.replace(pathToFileURL(folder).href, "URL").replace(folder, "PATH")).toBe(name);
  });

  it("expands the home folder", async () => {
    const below = path.relative(homedir(), at("cat.png"));
    expect((await resolve(`~/${below}`)).name).toBe(`~/${below}`);
  });

  it("numbers what has no name, and uses the given name", async () => {
    expect((await resolve(PNG, { index: 2 })).name).toBe("image 3");
    expect((await resolve(PNG, { name: "the cat" })).name).toBe("the cat");
    expect((await resolve(PNG, { name: "a\u001b[31m\nb" })).name).toBe("a\u{fffd}[31m\u{fffd}b");
  });

  it("keeps its own copy of the bytes", async () => {
    const mine = new Uint8Array(PNG);
    const item = await resolve(mine);
    mine.fill(0);
    expect(Buffer.from(item.bytes).equals(PNG)).toBe(true);
  });

  it.each<[string, () => MediaSource, string, RegExp, RegExp?]>([
    ["a missing file", () => at("cta.png"), "media_not_found", /no file .*cta\.png/, /mean cat\.png/],
    ["another ending", () => at("cat.jpg"), "media_not_found", /cat\.jpg/, /mean cat\.png/],
    ["a missing folder", () => at("nowhere/cat.png"), "media_not_found", /nowhere/, /nowhere does not exist/],
    ["a file as folder", () => at("cat.png/x.png"), "media_not_found", /x\.png/],
    ["a name too long", () => "x".repeat(10_000), "media_not_found", /…/],
    ["a NUL in the name", () => "x\0.png", "media_not_found", /No file can have/],
    ["a folder", () => at("folder.png"), "unsupported_media", /folder\.png is a folder/],
    ["a device", () => "/dev/zero", "unsupported_media", /\/dev\/zero is a pipe or a device/],
    ["an empty file", () => at("empty.png"), "unsupported_media", /empty\.png is empty/],
    ["text", () => at("notes.png"), "unsupported_media", /notes\.png is text, not a picture/],
    [
      "a web page",
      () => at("page.png"),
      "unsupported_media",
      /is a web page, not a picture/,
      /Save the picture/,
    ],
    ["HEIC", () => at("photo.jpg"), "unsupported_media", /is a HEIC picture; mull does not read/, /JPEG/],
    [
      "a large file",
      () => at("big.png"),
      "media_too_large",
      /big\.png has 65\.0 MiB; the limit is 64\.0 MiB/,
    ],
    ["a large SVG", () => at("big.svg"), "media_too_large", /big\.svg has 5\.0 MiB; the limit is 4\.0/],
    ["large bytes", () => new Uint8Array(65 * 1024 ** 2), "media_too_large", /image 1 has 65/],
    ["an address", () => "https://e.com/cat.png", "unsupported_media", /on the network/, /Download/],
    ["an address as URL", () => new URL("http://e.com/cat.png"), "unsupported_media", /on the network/],
    ["a file of another host", () => "file://elsewhere/cat.png", "media_not_found", /elsewhere/],
    ["damaged base64", () => "data:image/png;base64,iVB*", "invalid_media", /base64 is damaged/],
    ["a damaged escape", () => "data:image/png,%8", "invalid_media", /escaped byte/],
    ["a data: URL without data", () => "data:image/png", "invalid_media", /comma/],
    ["no source", () => null as unknown as MediaSource, "invalid_argument", /neither bytes/],
  ])("refuses %s", async (_, source, code, message, hint = /(?:)/) => {
    const error = await resolve(source()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: "MullError", code });
    expect((error as Error).message).toMatch(message);
    expect((error as { hint?: string }).hint ?? "").toMatch(hint);
  });

  it("refuses a long data: URL before it is decoded", async () => {
    const url = `data:image/png;base64,${"A".repeat(4000)}`;
    await expect(resolve(url, { limits: { fileBytes: 1000 } })).rejects.toMatchObject({
      code: "media_too_large",
    });
  });

  it("refuses a pipe without waiting for a writer", async () => {
    execFileSync("mkfifo", [at("pipe.png")]);
    await expect(resolve(at("pipe.png"))).rejects.toMatchObject({ code: "unsupported_media" });
  });

  it("says why a file may not be read", async () => {
    writeFileSync(at("secret.png"), PNG);
    chmodSync(at("secret.png"), 0);
    // Root may read everything, so the test lays its rights down for a moment.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    const error = await resolve(at("secret.png")).catch((thrown: unknown) => thrown);
    if (isRoot) process.seteuid?.(0);
    expect(error).toMatchObject({ code: "media_not_found" });
    expect((error as Error).message).toMatch(/secret\.png may not be read: permission denied/);
  });

  it("can be cancelled, for any reason", async () => {
    await expect(resolve(at("cat.png"), { signal: AbortSignal.abort("enough") })).rejects.toMatchObject({
      code: "aborted",
    });
  });

  it("checks the limits it is given", async () => {
    await expect(resolve(PNG, { limits: { fileBytes: -1 } })).rejects.toMatchObject({
      code: "invalid_argument",
    });
    await expect(resolve(PNG, { limits: { bytes: 1 } as object })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});
