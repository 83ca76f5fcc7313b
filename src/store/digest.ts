import { hash } from "node:crypto";

declare const brand: unique symbol;

/**
 * The SHA-256 of some bytes: `sha256:` and 64 small hex digits. Only `parseDigest` and `digestOf` make one, so that
 * a path built from a digest stays where it belongs.
 */
export type Digest = `sha256:${string}` & { readonly [brand]: "digest" };

/** Registries write `sha256:<hex>`, file names `sha256-<hex>`. Undefined for anything else. */
export function parseDigest(text: string): Digest | undefined {
  const hex = /^sha256[:-]([0-9a-f]{64})$/i.exec(text)?.[1];
  return hex === undefined ? undefined : (`sha256:${hex.toLowerCase()}` as Digest);
}

export function digestOf(bytes: Uint8Array): Digest {
  return digestOfHex(hash("sha256", bytes));
}

/** @param hex 64 hex digits that a hash gave */
export function digestOfHex(hex: string): Digest {
  const digest = parseDigest(`sha256:${hex}`);
  if (digest === undefined) throw new TypeError(`${hex} is no SHA-256`);
  return digest;
}

/** The 64 hex digits. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/** Twelve hex digits: what people are shown. */
export function shortDigest(digest: Digest): string {
  return hexOf(digest).slice(0, 12);
}
