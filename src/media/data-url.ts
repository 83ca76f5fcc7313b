import { MullError } from "../spec/errors.ts";
import { tooLarge } from "./read-local-file.ts";

/**
 * Bytes of a `data:` URL (RFC 2397), base64 or percent-encoded. Its MIME type is ignored: bytes are sniffed.
 *
 * @throws MullError invalid_media if it is malformed, media_too_large before decoding what is over the limit
 */
export function decodeDataUrl(url: string, name: string, limitBytes: number): Uint8Array {
  const comma = url.indexOf(",");
  if (comma === -1) throw malformed(name, "it has no comma before its data");
  const isBase64 = /;\s*base64\s*$/i.test(url.slice(0, comma));
  const characters = url.length - comma - 1;
  // The shortest encoding of n bytes: 4n/3 characters of base64, or n unescaped ones.
  const leastBytes = Math.floor(isBase64 ? (characters * 3) / 4 : characters / 3);
  if (leastBytes > limitBytes * (isBase64 ? 1.1 : 1)) throw tooLarge(name, leastBytes, limitBytes);
  const payload = percentDecode(url.slice(comma + 1), name);
  return isBase64 ? base64Decode(payload, name) : payload;
}

/** Percent-encoding stands for bytes, which need not be UTF-8; `decodeURIComponent` would refuse pictures. */
function percentDecode(text: string, name: string): Uint8Array {
  const encoded = Buffer.from(text, "utf8");
  if (!text.includes("%")) return encoded;
  const decoded = new Uint8Array(encoded.length);
  let length = 0;
  for (let at = 0; at < encoded.length; at++) {
    let byte = encoded[at]!;
    if (byte === 0x25) {
      const digits = encoded.toString("latin1", at + 1, at + 3);
      if (!/^[0-9a-f]{2}$/i.test(digits)) throw malformed(name, `"%${digits}" is not an escaped byte`);
      byte = Number.parseInt(digits, 16);
      at += 2;
    }
    decoded[length++] = byte;
  }
  return decoded.slice(0, length);
}

/** Accepts both alphabets of RFC 4648, white space, and missing padding; nothing else. */
function base64Decode(payload: Uint8Array, name: string): Uint8Array {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("latin1");
  const compact = text.replace(/\s+/g, "").replace(/={1,2}$/, "");
  if (/[^\w+/-]/.test(compact) || compact.length % 4 === 1) throw malformed(name, "its base64 is damaged");
  return new Uint8Array(Buffer.from(compact, "base64"));
}

function malformed(name: string, reason: string): MullError {
  return new MullError("invalid_media", `${name} is not a data: URL that can be read: ${reason}.`, {
    hint: "The form is data:image/png;base64,iVBORw0…",
  });
}
