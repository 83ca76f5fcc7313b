import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sniff } from "./sniff.ts";

function formatOf(content: string | readonly number[]): string {
  return sniff(typeof content === "string" ? Buffer.from(content, "latin1") : Uint8Array.from(content))
    .format;
}

/** A `ftyp` box with these brands; the first is the major one. */
function isoMedia(...brands: string[]): Buffer {
  const rest = brands.slice(1).join("");
  const box = Buffer.from(`\0\0\0\0ftyp${brands[0]}\0\0\0\0${rest}`, "latin1");
  box.writeUInt32BE(box.length);
  return Buffer.concat([box, Buffer.from("mdat and more")]);
}

describe("sniff", () => {
  it.each([
    ["png", "\x89PNG\r\n\x1a\n\0\0"],
    ["jpeg", "\xff\xd8\xff\xe0"],
    ["gif", "GIF89a\x01"],
    ["webp", "RIFF\x10\0\0\0WEBPVP8 "],
    ["tiff", "II*\0\x08"],
    ["tiff", "MM\0*\0"],
    ["svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"],
    ["svg", "\xef\xbb\xbf\n<?xml version='1.0'?><!-- <html> --><!DOCTYPE svg [<!ENTITY a '>'>]>\n<svg:svg/>"],
    ["jxl", "\xff\x0a\x01"],
    ["jp2", "\0\0\0\x0cjP  \r\n\x87\n"],
    ["psd", "8BPS\0\x01"],
    ["ico", "\0\0\x01\0\x01"],
    ["bmp", "BM\x36\0\0\0\0\0\0\0\x36"],
    ["text", "BMW builds cars"],
    ["pdf", "%PDF-1.7"],
    ["gguf", "GGUF\x03\0\0\0"],
    ["zip", "PK\x03\x04\x14"],
    ["wav", "RIFF\x10\0\0\0WAVEfmt "],
    ["mp3", "ID3\x04"],
    ["mp3", "\xff\xfb\x90\x44"],
    ["flac", "fLaC\0"],
    ["ogg", "OggS\0"],
    ["webm", "\x1a\x45\xdf\xa3\x01"],
    ["html", "\n<!DOCTYPE html><html>"],
    ["html", "<html lang=en>"],
    ["xml", "<?xml version='1.0'?><feed/>"],
    ["text", "just words, <svg in the middle>"],
    ["text", "\xff\xfeh\0i\0"],
    ["empty", ""],
    ["unknown", "\0\x01\x02\x03\x04"],
  ])("knows %s by its first bytes", (format, bytes) => {
    expect(formatOf(bytes)).toBe(format);
  });

  it.each([
    ["avif", ["avif", "mif1"]],
    ["avif", ["mif1", "miaf", "avif"]],
    ["heic", ["heic", "mif1"]],
    ["heic", ["mif1", "heic"]],
    ["mov", ["qt  "]],
    ["m4a", ["M4A "]],
    ["mp4", ["isom", "mp42"]],
  ])("tells %s apart by its brands", (format, brands) => {
    expect(sniff(isoMedia(...brands)).format).toBe(format);
  });

  it("takes any bytes, and looks at the first ones only", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
        const longer = Buffer.concat([bytes, Buffer.alloc(5000, 0x20)]);
        expect(sniff(bytes).label).toBeTypeOf("string");
        expect(sniff(longer.subarray(0, 4096))).toEqual(sniff(longer));
      }),
    );
  });

  it("does not mind a character cut at the end of its window", () => {
    expect(formatOf([...Buffer.from(`${"a".repeat(4095)}é and more`)])).toBe("text");
  });
});
