import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import sharp, { type Sharp } from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MediaReceipt } from "../spec/receipt.ts";
import type { MediaLimits } from "./limits.ts";
import { MediaDecoder, type TimedDecode } from "./media-process.ts";
import { resolveMedia } from "./resolve-media.ts";

const RED = [200, 30, 60];
const BLUE = [20, 40, 210];
const WHITE = [255, 255, 255];
/** Four inks reach neither colour; this far from them they print what comes nearest. */
const UNPRINTABLE = 90;

let decoder: MediaDecoder;
beforeAll(() => {
  decoder = new MediaDecoder();
});
afterAll(() => decoder.close());

async function decode(bytes: Uint8Array | string): Promise<TimedDecode> {
  const source = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  const item = await resolveMedia(source, { index: 0, name: "it.png" });
  return decoder.decode(item);
}

/** The error of a decode that fails, and proof that the next picture is decoded all the same. */
async function failure(
  bytes: Uint8Array | string,
  limits?: Partial<MediaLimits>,
): Promise<{ code: string; message: string }> {
  await using own = limits === undefined ? undefined : new MediaDecoder({ limits });
  const used = own ?? decoder;
  const item = await resolveMedia(typeof bytes === "string" ? Buffer.from(bytes) : bytes, {
    index: 0,
    name: "it.png",
  });
  const error = await used.decode(item).then(
    () => ({ code: "none", message: "it was decoded" }),
    (thrown: { code: string; message: string }) => thrown,
  );
  const next = await resolveMedia(await redAndBlue().png().toBuffer(), { index: 1 });
  expect((await used.decode(next)).image.width).toBe(32);
  return error;
}

/** A picture of 32x16, red on the left and blue on the right. */
function redAndBlue(): Sharp {
  const pixels = Buffer.alloc(32 * 16 * 3); // (16, 32, 3) uint8
  for (let at = 0; at < 32 * 16; at++) pixels.set(at % 32 < 16 ? RED : BLUE, at * 3);
  return sharp(pixels, { raw: { width: 32, height: 16, channels: 3 } });
}

function pixel({ image }: TimedDecode, column: number, row: number): number[] {
  return [...image.data.subarray((row * image.width + column) * 3).subarray(0, 3)];
}

function expectColour(actual: number[], expected: number[], tolerance: number): void {
  for (const [channel, value] of expected.entries()) {
    expect(Math.abs(actual[channel]! - value), `${actual.join()} for ${expected.join()}`).toBeLessThanOrEqual(
      tolerance,
    );
  }
}

/** Checks both halves; lossy formats and other colour spaces may be `tolerance` off. */
function expectRedAndBlue(decoded: TimedDecode, tolerance: number): void {
  expect(decoded.image).toMatchObject({ width: 32, height: 16 });
  expect(decoded.image.data).toHaveLength(32 * 16 * 3);
  expectColour(pixel(decoded, 4, 8), RED, tolerance);
  expectColour(pixel(decoded, 28, 8), BLUE, tolerance);
}

function svg(body: string, attributes = 'width="100" height="50"'): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${attributes}>${body}</svg>`;
}

describe("decodeImage, in its process, decodes", () => {
  it.each<[string, (picture: Sharp) => Sharp, number, MediaReceipt["steps"]]>([
    ["png", (picture) => picture.png(), 0, []],
    ["png", (picture) => picture.png({ progressive: true }), 0, []],
    ["png", (picture) => picture.png({ palette: true }), 4, []],
    ["png", (picture) => picture.toColourspace("rgb16").png(), 0, [{ action: "converted", from: "16-bit" }]],
    ["png", (picture) => picture.withIccProfile("p3").png(), 3, [{ action: "converted", from: "sP3C" }]],
    ["jpeg", (picture) => picture.jpeg({ quality: 95 }), 12, []],
    ["jpeg", (picture) => picture.jpeg({ progressive: true, quality: 95 }), 12, []],
    [
      "jpeg",
      (picture) => picture.toColourspace("cmyk").jpeg(),
      UNPRINTABLE,
      [{ action: "converted", from: "cmyk" }],
    ],
    ["webp", (picture) => picture.webp(), 12, []],
    ["webp", (picture) => picture.webp({ lossless: true }), 0, []],
    ["gif", (picture) => picture.gif(), 8, []],
    ["avif", (picture) => picture.avif({ quality: 80, effort: 0 }), 12, []],
    ["tiff", (picture) => picture.tiff(), 12, []],
    ["tiff", (picture) => picture.tiff({ compression: "lzw", tile: true }), 0, []],
  ])("%s, case %#", async (format, encode, tolerance, steps) => {
    const bytes = await encode(redAndBlue()).toBuffer();
    const decoded = await decode(bytes);
    expectRedAndBlue(decoded, tolerance);
    expect(decoded.receipt).toEqual({
      kind: "image",
      name: "it.png",
      format,
      bytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      original: { width: 32, height: 16 },
      steps,
    });
    expect(decoded.milliseconds).toBeGreaterThan(0);
  });

  it("a CMYK JPEG by its profile", async () => {
    const decoded = await decode(await redAndBlue().withIccProfile("cmyk").jpeg().toBuffer());
    expectRedAndBlue(decoded, UNPRINTABLE);
    expect(decoded.receipt.steps[0]).toMatchObject({
      action: "converted",
      from: expect.stringMatching(/^cmyk \w/),
    });
  });

  it.each(["b-w", "grey16"])("grey to three channels: %s", async (space) => {
    const decoded = await decode(await redAndBlue().greyscale().toColourspace(space).png().toBuffer());
    const [red, green, blue] = pixel(decoded, 4, 8);
    expect([green, blue]).toEqual([red, red]);
    expect(decoded.image.data).toHaveLength(32 * 16 * 3);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("EXIF orientation %i upright", async (exif) => {
    // A red corner at the top left of the upright picture of 32x16, stored as the orientation says.
    const upright = await sharp({ create: { width: 32, height: 16, channels: 3, background: "white" } })
      .composite([
        {
          input: await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } })
            .png()
            .toBuffer(),
          left: 0,
          top: 0,
        },
      ])
      .png()
      .toBuffer();
    const flipped = sharp(upright);
    // How to get from the upright picture to the stored one, per orientation.
    const stored = [
      flipped,
      flipped.clone().flop(),
      flipped.clone().rotate(180),
      flipped.clone().flip(),
      sharp(await flipped.clone().rotate(90).toBuffer()).flop(),
      flipped.clone().rotate(270),
      sharp(await flipped.clone().rotate(270).toBuffer()).flop(),
      flipped.clone().rotate(90),
    ][exif - 1]!;
    const decoded = await decode(await stored.withMetadata({ orientation: exif }).png().toBuffer());
    expect(decoded.image).toMatchObject({ width: 32, height: 16 });
    expect(pixel(decoded, 2, 2)).toEqual([255, 0, 0]);
    for (const [column, row] of [
      [29, 2],
      [2, 13],
      [29, 13],
    ] as const)
      expect(pixel(decoded, column, row)).toEqual(WHITE);
    expect(decoded.receipt.original).toEqual(
      exif >= 5 ? { width: 16, height: 32 } : { width: 32, height: 16 },
    );
    expect(decoded.receipt.steps).toEqual(
      exif === 1 ? [] : [{ action: "oriented", exif, width: 32, height: 16 }],
    );
  });

  it.each(["png", "webp"] as const)("transparency on white: %s", async (format) => {
    const bytes = await sharp({
      create: { width: 8, height: 8, channels: 4, background: { r: 200, g: 100, b: 0, alpha: 0.5 } },
    })
      .toFormat(format, { lossless: true })
      .toBuffer();
    const decoded = await decode(bytes);
    // 128 of 255 parts of the colour, the rest white.
    expect(pixel(decoded, 3, 3)).toEqual([227, 177, 127]);
    expect(decoded.receipt.steps).toEqual([{ action: "flattened", background: WHITE }]);
  });

  it("says nothing about an alpha channel that is opaque", async () => {
    const decoded = await decode(await redAndBlue().ensureAlpha().png().toBuffer());
    expectRedAndBlue(decoded, 0);
    expect(decoded.receipt.steps).toEqual([]);
  });

  it.each(["gif", "webp", "tiff"] as const)("the first frame of several: %s", async (format) => {
    const frames = await Promise.all([redAndBlue().png().toBuffer(), redAndBlue().negate().png().toBuffer()]);
    const bytes = await sharp(frames, { join: { animated: true } })
      .toFormat(format, { lossless: true })
      .toBuffer();
    const decoded = await decode(bytes);
    expectRedAndBlue(decoded, 12);
    expect(decoded.receipt.steps).toEqual([{ action: "first-frame", frame: 0, of: 2 }]);
  });

  it.each([
    [1, 1],
    [1, 5000],
    [5000, 1],
  ])("a picture of %i x %i", async (width, height) => {
    const decoded = await decode(
      await sharp({ create: { width, height, channels: 3, background: { r: 1, g: 2, b: 3 } } })
        .png()
        .toBuffer(),
    );
    expect(decoded.image).toMatchObject({ width, height });
    expect(pixel(decoded, 0, 0)).toEqual([1, 2, 3]);
  });

  it("a picture over the output limit smaller, and says so", async () => {
    await using small = new MediaDecoder({ limits: { outputPixels: 128 } });
    const item = await resolveMedia(await redAndBlue().png().toBuffer(), { index: 0 });
    const { image, receipt } = await small.decode(item);
    expect(image).toMatchObject({ width: 16, height: 8 });
    expect(receipt.original).toEqual({ width: 32, height: 16 });
    expect(receipt.steps).toEqual([
      { action: "resized", width: 16, height: 8, filter: "lanczos3, antialiased" },
    ]);
  });
});

describe("decodeImage draws SVG", () => {
  it("larger when it is small", async () => {
    const decoded = await decode(
      svg('<rect width="12" height="12" fill="#c81e3c"/>', 'width="24" height="12"'),
    );
    expect(decoded.image).toMatchObject({ width: 1024, height: 512 });
    expect(pixel(decoded, 200, 200)).toEqual(RED);
    expect(pixel(decoded, 800, 200)).toEqual(WHITE);
    expect(decoded.receipt.original).toEqual({ width: 24, height: 12 });
    expect(decoded.receipt.steps).toEqual([
      { action: "rasterised", width: 1024, height: 512 },
      { action: "flattened", background: WHITE },
    ]);
  });

  it("smaller when it is huge", async () => {
    const decoded = await decode(
      svg('<rect width="9999" height="9999" fill="#c81e3c"/>', 'width="30000" height="15000"'),
    );
    expect(Math.abs(decoded.image.width - 4096)).toBeLessThanOrEqual(1);
    expect(pixel(decoded, 100, 100)).toEqual(RED);
  });

  it("without reading anything from elsewhere, and says what is missing", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "mull-svg-"));
    const file = path.join(folder, "red.png");
    await writeFile(file, await redAndBlue().png().toBuffer());
    const images = [`file://${file}`, file, "http://localhost/red.png"].map(
      (href) => `<image xlink:href="${href}" width="100" height="50"/>`,
    );
    const decoded = await decode(svg(images.join("")));
    expect(new Set(decoded.image.data)).toEqual(new Set([255]));
    expect(decoded.receipt.steps).toContainEqual({ action: "omitted", what: "3 external references" });
    await rm(folder, { recursive: true });
  });

  it("but not with an external entity", async () => {
    const entity = `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/hostname">]>${svg('<text y="40">&x;</text>')}`;
    expect(await failure(entity)).toMatchObject({ code: "invalid_media" });
  });

  it("but not for ever", async () => {
    // Each level draws the one before ten times.
    const levels = Array.from({ length: 12 }, (_, level) => {
      const use = `<use xlink:href="#l${level}"/>`.repeat(10);
      return `<g id="l${level + 1}">${use}</g>`;
    });
    const error = await failure(svg(`<g id="l0"><rect width="9" height="9"/></g>${levels.join("")}`), {
      milliseconds: 3000,
    });
    expect(["invalid_media", "media_too_large"]).toContain(error.code);
  });
});

describe("decodeImage refuses", () => {
  it.each(["png", "jpeg", "webp", "gif", "avif", "tiff"] as const)("a truncated %s", async (format) => {
    const noise = sharp(randomBytes(100 * 100 * 3), { raw: { width: 100, height: 100, channels: 3 } });
    const bytes = await noise.toFormat(format).toBuffer();
    for (const length of [bytes.length >> 1, bytes.length - 30, 60]) {
      const error = await failure(bytes.subarray(0, length));
      expect(error.code, `${length} of ${bytes.length} bytes`).toBe("invalid_media");
      expect(error.message).toMatch(new RegExp(`^it\\.png is (cut off or )?damaged.*${format}`));
    }
  });

  it("30000 x 30000 pixels by the header", async () => {
    const bytes = await sharp({
      create: { width: 30_000, height: 30_000, channels: 3, background: "red" },
      limitInputPixels: false,
    })
      .toColourspace("b-w")
      .png({ compressionLevel: 1 })
      .toBuffer();
    expect(await failure(bytes)).toMatchObject({
      code: "media_too_large",
      message: expect.stringMatching(
        /it\.png has 30000x30000 pixels \(900 megapixels\); the limit is 64/,
      ) as string,
      details: { width: 30_000, height: 30_000 },
    });
  });

  it.each([
    ["an interlaced PNG", (picture: Sharp) => picture.png({ progressive: true, compressionLevel: 1 })],
    ["a progressive JPEG", (picture: Sharp) => picture.jpeg({ progressive: true })],
  ])("%s that unfolds to hundreds of megabytes", async (_, encode) => {
    const bytes = await encode(
      sharp({ create: { width: 6000, height: 6000, channels: 3, background: "red" } }),
    ).toBuffer();
    expect(bytes.length).toBeLessThan(2e6);
    const error = await failure(bytes);
    expect(error.code).toBe("media_too_large");
    expect(error.message).toMatch(/36 megapixels.*progressive or interlaced.*25/);
  });

  it("what does not fit its memory, and lives on", async () => {
    const bytes = await sharp({ create: { width: 4900, height: 4900, channels: 4, background: "red" } })
      .png({ progressive: true, compressionLevel: 1 })
      .toBuffer();
    const error = await failure(bytes, { memoryBytes: 150 * 1024 ** 2 });
    expect(error).toMatchObject({ code: "media_too_large" });
    expect(error.message).toMatch(/it\.png needs more memory/);
  });

  it("what takes too long, and lives on", async () => {
    const bytes = await sharp(randomBytes(3000 * 3000 * 3), {
      raw: { width: 3000, height: 3000, channels: 3 },
    })
      .avif({ effort: 0 })
      .toBuffer();
    const item = await resolveMedia(bytes, { index: 0, name: "slow.avif" });
    await using impatient = new MediaDecoder({ limits: { milliseconds: 10 } });
    await expect(impatient.decode(item)).rejects.toMatchObject({
      code: "media_too_large",
      message: expect.stringMatching(/slow\.avif took longer/),
    });
  });

  it("random bytes behind every signature", async () => {
    for (const signature of [
      "\x89PNG\r\n\x1a\n",
      "\xff\xd8\xff",
      "GIF89a",
      "II*\0",
      "RIFF\xff\0\0\0WEBPVP8L",
      "\0\0\0\x1cftypavif\0\0\0\0avif",
    ]) {
      const bytes = Buffer.concat([Buffer.from(signature, "latin1"), randomBytes(2000)]);
      expect((await failure(bytes)).code).toMatch(/^(invalid_media|media_too_large)$/);
    }
  });
});
