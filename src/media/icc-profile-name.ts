/**
 * The name of an ICC profile, such as "Display P3", or undefined if it has none that can be read.
 * Layout: ICC.1:2010, 7.3 (tag table), 10.13 (multi-localised text) and, for version 2, `textDescriptionType`.
 */
export function iccProfileName(profile: Uint8Array): string | undefined {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
  const tag = (at: number): string => String.fromCharCode(...profile.subarray(at, at + 4));
  try {
    const tagCount = Math.min(view.getUint32(128), 100);
    for (let index = 0; index < tagCount; index++) {
      const entry = 132 + 12 * index;
      if (tag(entry) !== "desc") continue;
      const at = view.getUint32(entry + 4);
      if (tag(at) === "desc")
        return clean(profile.subarray(at + 12, at + 12 + view.getUint32(at + 8)), "latin1");
      if (tag(at) !== "mluc") return undefined;
      const length = view.getUint32(at + 20);
      const offset = view.getUint32(at + 24);
      return clean(profile.subarray(at + offset, at + offset + length), "utf-16be");
    }
  } catch (error) {
    // An offset that points past the end: a profile without a usable name.
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}

function clean(bytes: Uint8Array, encoding: string): string | undefined {
  const text = new TextDecoder(encoding).decode(bytes.subarray(0, 128));
  return text.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, "").trim() || undefined;
}
