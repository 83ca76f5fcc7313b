/**
 * What a file is, from its bytes alone: names and MIME types lie, first bytes rarely do.
 *
 * Pictures that mull reads are told apart from everything else that people attach by mistake, so that a refusal can
 * say "is a HEIC picture" instead of "corrupt". Signatures are those of the formats' own specifications.
 */
export type PictureFormat = "png" | "jpeg" | "webp" | "gif" | "avif" | "tiff" | "svg";

export type Sniffed =
  | { kind: "picture"; format: PictureFormat; label: string }
  /** Everything else. `label` completes the sentence "x.png is …": "a HEIC picture", "text", "empty". */
  | { kind: "other"; format: string; label: string };

/** Bytes that `sniff` looks at, at most. */
export const SNIFF_BYTES = 4096;

/** @param bytes the file from its beginning; more than the first `SNIFF_BYTES` make no difference */
export function sniff(bytes: Uint8Array): Sniffed {
  if (bytes.length === 0) return { kind: "other", format: "empty", label: "empty" };
  const head = bytes.subarray(0, SNIFF_BYTES);
  return sniffSignature(head) ?? sniffIsoMedia(head) ?? sniffRiff(head) ?? sniffText(head) ?? UNKNOWN;
}

const UNKNOWN: Sniffed = { kind: "other", format: "unknown", label: "of a kind that mull does not know" };

function picture(format: PictureFormat, label: string): Sniffed {
  return { kind: "picture", format, label };
}

function other(format: string, label: string): Sniffed {
  return { kind: "other", format, label };
}

/** Signatures at offset 0, as Latin-1 strings; the first that fits wins. */
const SIGNATURES: readonly (readonly [signature: string, Sniffed])[] = [
  ["\x89PNG\r\n\x1a\n", picture("png", "a PNG picture")],
  ["\xff\xd8\xff", picture("jpeg", "a JPEG picture")],
  ["GIF87a", picture("gif", "a GIF picture")],
  ["GIF89a", picture("gif", "a GIF picture")],
  ["II*\0", picture("tiff", "a TIFF picture")],
  ["MM\0*", picture("tiff", "a TIFF picture")],
  ["II+\0", picture("tiff", "a BigTIFF picture")],
  ["MM\0+", picture("tiff", "a BigTIFF picture")],
  ["\0\0\0\x0cJXL \r\n\x87\n", other("jxl", "a JPEG XL picture")],
  ["\xff\x0a", other("jxl", "a JPEG XL picture")],
  ["\0\0\0\x0cjP  \r\n\x87\n", other("jp2", "a JPEG 2000 picture")],
  ["\xff\x4f\xff\x51", other("jp2", "a JPEG 2000 picture")],
  ["8BPS", other("psd", "a Photoshop document")],
  ["\0\0\x01\0", other("ico", "an ICO icon")],
  ["%PDF-", other("pdf", "a PDF document")],
  ["GGUF", other("gguf", "a GGUF model")],
  ["PK\x03\x04", other("zip", "a ZIP archive or office document")],
  ["PK\x05\x06", other("zip", "an empty ZIP archive")],
  ["\x1f\x8b", other("gzip", "a gzip archive")],
  ["7z\xbc\xaf\x27\x1c", other("7z", "a 7z archive")],
  ["fLaC", other("flac", "a FLAC sound")],
  ["OggS", other("ogg", "an Ogg sound or video")],
  ["ID3", other("mp3", "an MP3 sound")],
  ["\x1a\x45\xdf\xa3", other("webm", "a WebM or Matroska video")],
  ["\x7fELF", other("elf", "a program")],
];

function sniffSignature(head: Uint8Array): Sniffed | undefined {
  for (const [signature, sniffed] of SIGNATURES) {
    if (startsWith(head, signature)) return sniffed;
  }
  // "BM" alone begins English words, and an MP3 frame is only 11 set bits: both need a second witness.
  if (startsWith(head, "BM") && head.subarray(6, 10).every((byte) => byte === 0) && head.length > 10) {
    return other("bmp", "a BMP picture");
  }
  const [first, second] = head;
  if (first === 0xff && second !== undefined && (second & 0xe6) === 0xe2) return other("mp3", "an MP3 sound");
  return undefined;
}

/** ISO base media files (ISO/IEC 14496-12) begin with a box `ftyp` that lists brands of four letters. */
function sniffIsoMedia(head: Uint8Array): Sniffed | undefined {
  if (latin1(head, 4, 8) !== "ftyp") return undefined;
  const boxBytes = new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(0);
  const brands: string[] = [latin1(head, 8, 12)];
  // The four bytes after the major brand are a version number.
  for (let at = 16; at + 4 <= Math.min(boxBytes, head.length); at += 4) brands.push(latin1(head, at, at + 4));
  // "mif1" and "msf1" only say "some picture"; the brand of the codec stands beside it.
  if (brands.some((brand) => brand === "avif" || brand === "avis")) return picture("avif", "an AVIF picture");
  if (brands.some((brand) => /^(hei[cxms]|hev[cxms]|mif1|msf1)$/.test(brand)))
    return other("heic", "a HEIC picture");
  if (brands[0] === "qt  ") return other("mov", "a QuickTime video");
  if (/^M4[AB] $/.test(brands[0] ?? "")) return other("m4a", "an MPEG-4 sound");
  return other("mp4", "an MPEG-4 video");
}

function sniffRiff(head: Uint8Array): Sniffed | undefined {
  if (!startsWith(head, "RIFF")) return undefined;
  const form = latin1(head, 8, 12);
  if (form === "WEBP") return picture("webp", "a WebP picture");
  if (form === "WAVE") return other("wav", "a WAV sound");
  if (form === "AVI ") return other("avi", "an AVI video");
  return undefined;
}

function sniffText(head: Uint8Array): Sniffed | undefined {
  if (startsWith(head, "\xff\xfe") || startsWith(head, "\xfe\xff")) return other("text", "text (UTF-16)");
  const text = decodeUtf8(head);
  if (text === undefined) return undefined;
  const root = rootElement(text);
  if (root === "svg") return picture("svg", "an SVG picture");
  if (root === "html") return other("html", "a web page");
  if (root !== undefined && text.trimStart().startsWith("<?xml")) return other("xml", "an XML document");
  return other("text", "text");
}

/** The head as text, or undefined if it is not UTF-8 or holds control characters that text does not hold. */
function decodeUtf8(head: Uint8Array): string | undefined {
  try {
    // `stream` forgives a character that is cut at the end of the head.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    // oxlint-disable-next-line no-control-regex -- control characters are what tells binary from text
    return /[\0-\x06\x0e-\x1a\x1c-\x1f\x7f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/**
 * Local name of the first element, in lower case, past declarations, comments and a DOCTYPE.
 * `<!DOCTYPE html>` counts as the element it announces.
 */
function rootElement(text: string): string | undefined {
  let at = 0;
  for (;;) {
    while (/\s/.test(text.charAt(at))) at++;
    let end: number;
    if (text.startsWith("<?", at)) end = after(text, "?>", at);
    else if (text.startsWith("<!--", at)) end = after(text, "-->", at);
    else if (/^<!doctype html/i.test(text.slice(at, at + 14))) return "html";
    else if (/^<!doctype/i.test(text.slice(at, at + 9))) end = afterDoctype(text, at);
    else break;
    if (end === -1) return undefined;
    at = end;
  }
  const name = /^<(?:[a-z][\w.-]*:)?([a-z][\w.-]*)/i.exec(text.slice(at, at + 100))?.[1]?.toLowerCase();
  return name === "head" || name === "body" || name === "script" ? "html" : name;
}

/** Index behind the next `closing`, or -1. */
function after(text: string, closing: string, from: number): number {
  const index = text.indexOf(closing, from);
  return index === -1 ? -1 : index + closing.length;
}

/** A DOCTYPE may hold declarations between square brackets, and these hold ">". */
function afterDoctype(text: string, from: number): number {
  const bracket = text.indexOf("[", from);
  const end = text.indexOf(">", from);
  if (bracket === -1 || (end !== -1 && end < bracket)) return end === -1 ? -1 : end + 1;
  const closing = text.indexOf("]", bracket);
  return closing === -1 ? -1 : after(text, ">", closing);
}

function startsWith(bytes: Uint8Array, signature: string): boolean {
  return latin1(bytes, 0, signature.length) === signature;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}
