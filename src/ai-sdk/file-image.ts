import type { LanguageModelV3FilePart } from "@ai-sdk/provider";
import { decodeDataUrl } from "../media/data-url.ts";
import { DEFAULT_MEDIA_LIMITS } from "../media/limits.ts";
import { MullError } from "../spec/errors.ts";
import type { ImagePart } from "../spec/message.ts";

type FilePart = Pick<LanguageModelV3FilePart, "data" | "mediaType" | "filename" | "providerOptions">;

/**
 * A file of the SDK as a picture.
 *
 * Its data become bytes here. A string is base64 or a `data:` URL and never a path: messages may come from a browser,
 * and must not be able to name a file of this machine.
 *
 * @throws MullError `unsupported_modality` when it is no picture, `unsupported_media` when its bytes are not here,
 *   `invalid_media` when its base64 is damaged
 */
export function fileImage({ data, mediaType, filename, providerOptions }: FilePart): ImagePart {
  if (!/^image(\/|$)/i.test(mediaType)) {
    throw new MullError("unsupported_modality", `A message has a file of type ${mediaType}.`, {
      hint: "This model takes text, and pictures as files of type image/*.",
    });
  }
  const { detail, maxTokens } = (providerOptions?.["mull"] ?? {}) as Partial<ImagePart>;
  return {
    type: "image",
    image: readData(data, filename ?? "A picture"),
    ...(filename === undefined ? {} : { name: filename }),
    ...(detail === undefined ? {} : { detail }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
  };
}

/** Bytes of base64 or a `data:` URL. @param name what errors call it */
export function readData(data: Uint8Array | string | URL, name: string): Uint8Array {
  if (data instanceof Uint8Array) return data;
  const text = String(data);
  const isDataUrl = /^data:/i.test(text);
  if (data instanceof URL && !isDataUrl) {
    throw new MullError("unsupported_media", `${name} is at ${text}, and mull fetches nothing.`, {
      hint: "Pass its bytes, base64, or a data: URL.",
    });
  }
  return decodeDataUrl(isDataUrl ? text : `data:;base64,${text}`, name, DEFAULT_MEDIA_LIMITS.fileBytes);
}
