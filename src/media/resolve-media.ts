import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { MullError } from "../spec/errors.ts";
import type { MediaSource } from "../spec/message.ts";
import { throwIfAborted } from "./abort.ts";
import { decodeDataUrl } from "./data-url.ts";
import { type MediaLimits, mediaLimits } from "./limits.ts";
import type { MediaItem } from "./media-item.ts";
import { readLocalFile, tooLarge } from "./read-local-file.ts";
import { sniff } from "./sniff.ts";

export interface ResolveOptions {
  /** Place among the attachments of a request, from 0: names what has no name, "image 1". */
  index: number;
  /** What receipts and errors call it. Default: the path as given, the name of a File, or "image 1". */
  name?: string;
  limits?: Partial<MediaLimits>;
  signal?: AbortSignal;
}

/**
 * Gets the bytes of an attachment and makes sure that they are a picture of a format that mull reads.
 * Nothing is decoded, and nothing is fetched from a network.
 *
 * @param source bytes, a Blob, a `file:` or `data:` URL, or a path (`./x.png`, `~/x.png`, `/tmp/x.png`)
 * @throws MullError media_not_found, unsupported_media, media_too_large, invalid_media, invalid_argument, aborted
 */
export async function resolveMedia(source: MediaSource, options: ResolveOptions): Promise<MediaItem> {
  const limits = mediaLimits(options.limits);
  const name = printable(options.name ?? defaultName(source, options.index));
  throwIfAborted(options.signal);
  const bytes = await readSource(source, name, limits, options.signal);
  throwIfAborted(options.signal);
  const sniffed = sniff(bytes);
  if (sniffed.kind !== "picture") throw notAPicture(name, sniffed.format, sniffed.label);
  if (sniffed.format === "svg" && bytes.length > limits.svgBytes)
    throw tooLarge(name, bytes.length, limits.svgBytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { kind: "image", name, format: sniffed.format, bytes, sha256 };
}

async function readSource(
  source: MediaSource,
  name: string,
  limits: MediaLimits,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (source instanceof Uint8Array) {
    if (source.length > limits.fileBytes) throw tooLarge(name, source.length, limits.fileBytes);
    // A copy: the caller may reuse the buffer, and the digest must stay true.
    return new Uint8Array(source);
  }
  if (source instanceof Blob) {
    if (source.size > limits.fileBytes) throw tooLarge(name, source.size, limits.fileBytes);
    return new Uint8Array(await source.arrayBuffer());
  }
  if (typeof source !== "string" && !(source instanceof URL)) {
    throw new MullError("invalid_argument", `${name} is neither bytes, a Blob, a URL nor a path.`, {
      hint: "Pass a Uint8Array, a Blob, a URL, or a string such as ./x.png.",
    });
  }
  const text = typeof source === "string" ? source : source.href;
  if (/^data:/i.test(text)) {
    const bytes = decodeDataUrl(text, name, limits.fileBytes);
    if (bytes.length > limits.fileBytes) throw tooLarge(name, bytes.length, limits.fileBytes);
    return bytes;
  }
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  return readLocalFile(isUrl ? localPath(text, name) : text, name, limits.fileBytes, signal);
}

function localPath(url: string, name: string): string {
  if (!/^file:/i.test(url)) {
    throw new MullError(
      "unsupported_media",
      `${name} is on the network, and mull does not fetch attachments.`,
      {
        hint: "Download it first, then give its path.",
      },
    );
  }
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new MullError("media_not_found", `${name} names no file of this machine.`, {
      hint: "The form is file:///folder/x.png, with blanks written as %20.",
      cause: error,
    });
  }
}

/** The error of bytes that `sniff` knows as something else. */
export function notAPicture(name: string, format: string, label: string): MullError {
  const message =
    format === "unknown" || format === "empty"
      ? `${name} is ${label}.`
      : `${name} is ${label}, not a picture.`;
  // "is a HEIC picture, not a picture" would be wrong.
  const isPicture = label.endsWith("picture") || label.endsWith("icon");
  return new MullError(
    "unsupported_media",
    isPicture ? `${name} is ${label}; mull does not read this format.` : message,
    {
      hint: HINTS[format] ?? "PNG, JPEG, WebP, GIF, AVIF, TIFF and SVG are read.",
      details: { format },
    },
  );
}

const HINTS: Record<string, string> = {
  heic: "Convert it to JPEG first. A phone can be set to save JPEG (“most compatible”).",
  html: "A download often saves the page around a picture. Save the picture itself.",
  empty: "Was it saved, or downloaded, to its end?",
  pdf: "Save the page as a PNG first.",
};

function defaultName(source: MediaSource, index: number): string {
  const numbered = `image ${index + 1}`;
  if (source instanceof URL) return source.protocol === "data:" ? numbered : source.href;
  if (typeof source === "string") return /^data:/i.test(source) ? numbered : source;
  return source instanceof File && source.name !== "" ? source.name : numbered;
}

/** Names reach terminals and logs: no control characters, and no more than a line or two. */
function printable(name: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what must go
  const safe = name.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "\u{fffd}");
  return safe.length <= 300 ? safe : `${safe.slice(0, 140)}…${safe.slice(-140)}`;
}
