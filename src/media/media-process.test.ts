import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MediaDecoder, type TimedDecode } from "./media-process.ts";
import { resolveMedia } from "./resolve-media.ts";
import { isAlive } from "../../test/support/is-alive.ts";

let decoder: MediaDecoder;
beforeAll(() => {
  decoder = new MediaDecoder();
});
afterAll(() => decoder.close());

async function decode(bytes: Uint8Array): Promise<TimedDecode> {
  return decoder.decode(await resolveMedia(bytes, { index: 0 }));
}

function picture(): Promise<Buffer> {
  return sharp({ create: { width: 32, height: 16, channels: 3, background: "red" } })
    .png()
    .toBuffer();
}

/** Noise of 4 megapixels: long enough at work to be interrupted. */
function slowPicture(): Promise<Buffer> {
  return sharp(randomBytes(2000 * 2000 * 3), { raw: { width: 2000, height: 2000, channels: 3 } })
    .png()
    .toBuffer();
}

describe("MediaDecoder", () => {
  it("decodes overlapping requests one after the other", async () => {
    const bytes = await picture();
    const items = await Promise.all([0, 1, 2, 3].map((index) => resolveMedia(bytes, { index })));
    const decoded = await Promise.all(items.map((item) => decoder.decode(item)));
    expect(decoded.map(({ receipt }) => receipt.name)).toEqual(["image 1", "image 2", "image 3", "image 4"]);
  });

  it("survives a kill in mid-decode", async () => {
    const slow = await slowPicture();
    await decode(await picture());
    const { pid } = decoder;
    const pending = decode(slow).catch((thrown: unknown) => thrown);
    // The bytes are hashed before they are sent; the kill comes when the process has them or is about to.
    await new Promise((resolve) => setImmediate(resolve));
    process.kill(pid!, "SIGKILL");
    expect(await pending).toMatchObject({ code: "invalid_media", details: { signal: "SIGKILL" } });
    expect((await decode(await picture())).image).toMatchObject({ width: 32, height: 16 });
    expect(decoder.pid).not.toBe(pid);
  });

  it("starts anew after dying idle", async () => {
    await decode(await picture());
    const { pid } = decoder;
    process.kill(pid!, "SIGKILL");
    while (decoder.pid === pid) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await decode(await picture())).image).toMatchObject({ width: 32, height: 16 });
    expect(decoder.pid).not.toBe(pid);
  });

  it("cancels a decode, in the queue or at work, without hurting the others", async () => {
    const slow = await slowPicture();
    const item = await resolveMedia(slow, { index: 0 });
    const [atWork, waiting] = [new AbortController(), new AbortController()];
    const results = Promise.allSettled([
      decoder.decode(item, { signal: atWork.signal }),
      decoder.decode(item, { signal: waiting.signal }),
      decoder.decode(item),
    ]);
    waiting.abort();
    setImmediate(() => atWork.abort(new Error("enough")));
    const [first, second, third] = await results;
    expect(first).toMatchObject({ status: "rejected", reason: { code: "aborted" } });
    expect(second).toMatchObject({ status: "rejected", reason: { code: "aborted" } });
    expect(third).toMatchObject({ status: "fulfilled", value: { image: { width: 2000 } } });
  });

  it("ends with close, which fails what is in flight", async () => {
    const item = await resolveMedia(await picture(), { index: 0 });
    const closing = new MediaDecoder();
    const pending = Promise.allSettled([closing.decode(item), closing.decode(item)]);
    while (closing.pid === undefined) await new Promise((resolve) => setImmediate(resolve));
    const { pid } = closing;
    await closing.close();
    for (const result of await pending) expect(result).toMatchObject({ reason: { code: "closed" } });
    await expect(closing.decode(item)).rejects.toMatchObject({ code: "closed" });
    while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("keeps a program alive for a decode, not longer, and dies with it", async () => {
    const entry = new URL("../../dist/media/media-process.js", import.meta.url);
    expect(existsSync(entry)).toBe(true);
    const program = `
      import { MediaDecoder } from ${JSON.stringify(entry.href)};
      import { resolveMedia } from ${JSON.stringify(new URL("resolve-media.js", entry).href)};
      const decoder = new MediaDecoder();
      const item = await resolveMedia(Buffer.from(process.argv[1], "base64"), { index: 0 });
      const { image } = await decoder.decode(item);
      console.log(image.width, decoder.pid);
    `;
    const encoded = (await picture()).toString("base64");
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", program, encoded], {
      encoding: "utf8",
    });
    const [width, pid] = output.trim().split(" ").map(Number);
    expect(width).toBe(32);
    while (isAlive(pid!)) await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
