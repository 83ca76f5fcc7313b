import { decodeDataUrl } from "../media/data-url.ts";
import { fetchMedia } from "../media/fetch-media.ts";
import { DEFAULT_MEDIA_LIMITS } from "../media/limits.ts";
import { tooLarge } from "../media/read-local-file.ts";
import { notAPicture } from "../media/resolve-media.ts";
import { sniff } from "../media/sniff.ts";
import { MullError } from "../spec/errors.ts";
import type { ReadMediaInput } from "./media-input.ts";
import { decodeBase64 } from "./parse-json.ts";
import type { ServerContext } from "./server-context.ts";

const FORMS =
  "Send the picture itself as base64 or as a data: URL, or upload it with POST /api/media and send its digest.";

/** Longest URL and digest; a longer text can only be a picture. */
const LONGEST_NAME = 8192;

/** @param fetchUrl gets what an https: URL names; a test has its own internet */
export function createReadMediaInput(fetchUrl: typeof fetchMedia = fetchMedia): ReadMediaInput {
  return async (value, where, { context, client, signal }) => {
    if (value instanceof Uint8Array) return checkedPicture(value, where);
    if (typeof value !== "string") {
      throw new MullError("invalid_argument", `${where} is not a picture.`, {
        hint: FORMS,
        details: { param: where },
      });
    }
    if (/^data:/i.test(value)) return checkedPicture(decodeUrl(value, where), where);
    if (value.length <= LONGEST_NAME) {
      const digest = /^sha256:(.*)$/i.exec(value)?.[1];
      if (digest !== undefined) return uploadedPicture(digest, where, client, context);
      const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(value)?.[1]?.toLowerCase();
      if (scheme === "https" || scheme === "http") {
        refuseUrl(scheme, where, context);
        return fetchUrl(value, where, { signal });
      }
    }
    return checkedPicture(decodeText(value, where), where);
  };
}

/** See `ReadMediaInput`. */
export const readMediaInput: ReadMediaInput = createReadMediaInput();

/**
 * Refuses a request with more pictures than the server takes, before any of them costs anything.
 *
 * @throws MullError `invalid_argument`
 */
export function countImages(count: number, { options }: ServerContext): void {
  if (count <= options.maxImages) return;
  throw new MullError(
    "invalid_argument",
    `The request has ${count} pictures; this server takes at most ${options.maxImages} at once.`,
    { hint: "Ask about fewer pictures at a time." },
  );
}

function checkedPicture(bytes: Uint8Array, where: string): Uint8Array {
  if (bytes.length === 0) throw new MullError("invalid_media", `${where} is empty.`, { hint: FORMS });
  const { fileBytes } = DEFAULT_MEDIA_LIMITS;
  if (bytes.length > fileBytes) throw tooLarge(where, bytes.length, fileBytes);
  const sniffed = sniff(bytes);
  if (sniffed.kind !== "picture") throw notAPicture(where, sniffed.format, sniffed.label);
  return bytes;
}

/**
 * Bytes of a data: URL that came as text. `parseJson` has made bytes of every large one that is clean base64: what is
 * left is small, damaged, or an SVG in percent-encoding, and none of these needs much time.
 */
function decodeUrl(url: string, where: string): Uint8Array {
  const prefix = /^data:[^,]*;\s*base64,/i.exec(url.slice(0, 256))?.[0];
  if (prefix === undefined) return decodeDataUrl(url, where, DEFAULT_MEDIA_LIMITS.svgBytes);
  const bytes = decodeBase64(url.slice(prefix.length));
  if (bytes !== undefined) return bytes;
  if (url.length < 1024 ** 2) return decodeDataUrl(url, where, DEFAULT_MEDIA_LIMITS.fileBytes);
  throw damaged(where);
}

function decodeText(text: string, where: string): Uint8Array {
  const bytes = decodeBase64(text);
  // A path can be base64 by its letters: "/etc/passwd" stands for eight bytes.
  const isName =
    /^(?:[a-z][a-z0-9+.-]*:|[~.]{0,2}[\\/]|[^\\/]+\.(?:png|jpe?g|gif|webp|avif|tiff?|svg)$)/i.test(
      text.slice(0, LONGEST_NAME),
    );
  if (isName && (bytes === undefined || sniff(bytes).kind !== "picture")) {
    throw new MullError("invalid_media", `${where} names a file; this server opens none for a request.`, {
      hint: FORMS,
    });
  }
  if (bytes === undefined) throw damaged(where);
  return bytes;
}

function damaged(where: string): MullError {
  return new MullError("invalid_media", `${where} cannot be read: its base64 is damaged.`, { hint: FORMS });
}

function uploadedPicture(digest: string, where: string, client: string, context: ServerContext): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(digest)) {
    throw new MullError(
      "invalid_media",
      `${where} is no digest: sha256: and 64 hexadecimal digits make one.`,
    );
  }
  const media = context.media.get(client, digest);
  if (media !== undefined) return media.bytes;
  throw new MullError("media_not_found", `${where}: no picture with that digest is here.`, {
    hint: "Upload it again with POST /api/media; uploads are kept for some minutes only.",
  });
}

function refuseUrl(scheme: string, where: string, { options }: ServerContext): void {
  if (!options.allowUrls) {
    throw new MullError("forbidden", `${where} is a URL, and this server does not fetch pictures.`, {
      hint: FORMS,
    });
  }
  if (scheme !== "https") {
    throw new MullError(
      "forbidden",
      `${where} is an http: URL; this server fetches pictures by https: only.`,
      {
        hint: FORMS,
      },
    );
  }
}
