import { MullError } from "../../spec/errors.ts";

/** Bytes of a Modelfile to its text: UTF-8, or UTF-16 with a byte order mark, as editors on Windows write it. */
export function decodeModelfile(bytes: Uint8Array, path: string): string {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new MullError("invalid_argument", `'${path}' is no text in ${encoding.toUpperCase()}.`, {
      hint: "Is it a Modelfile? A GGUF file is named in one: FROM ./model.gguf",
    });
  }
}
