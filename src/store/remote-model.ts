import type { Digest } from "./digest.ts";
import type { Descriptor, Manifest } from "./manifest.ts";
import type { ModelName } from "./model-name.ts";

/**
 * A model elsewhere: what there is to fetch and how. A registry, Hugging Face and a plain address each make one;
 * `pullModel` takes any.
 */
export interface RemoteModel {
  name: ModelName;
  blobs: readonly RemoteBlob[];
  /**
   * The manifest to store once every blob is there, and its bytes where a registry published them (then the model has
   * the same ID as there).
   *
   * @param fetched the blobs in the order of `blobs`, as they are in the store
   */
  manifest(fetched: readonly FetchedBlob[]): Promise<{ manifest: Manifest; bytes: Uint8Array }>;
}

export interface FetchedBlob {
  digest: Digest;
  size: number;
}

export interface RemoteBlob {
  /** What to call it in messages: `sha256:…`, or a file's name. */
  label: string;
  /** Undefined when nobody says: then what came is hashed and named by that, and `key` finds the rest of a download. */
  digest: Digest | undefined;
  /** In bytes. Undefined: the first answer says. */
  size: number | undefined;
  /**
   * What tells this content from another at the same place (an ETag or a commit, with the address): names the partial
   * download where there is no digest. Undefined: a partial download is not resumed.
   */
  key: string | undefined;
  /** Such as `application/vnd.ollama.image.model`; small blobs of other types are whole in one request. */
  mediaType: Descriptor["mediaType"];
  /**
   * Opens a stream of bytes from `start` to `end` (exclusive; undefined: to the end of the blob). Tokens, redirects
   * and proxies are its matter; one try, no retry.
   *
   * @throws MullError `server_unreachable` (retryable), `unauthorized`, `model_not_found`, `aborted`
   */
  open(range: ByteRange, signal: AbortSignal): Promise<RemoteBytes>;
}

export interface ByteRange {
  start: number;
  end: number | undefined;
}

export interface RemoteBytes {
  /** Where the stream begins: 0 from a server that ignores ranges. */
  start: number;
  /** Size of the whole blob as this server says; undefined if it does not. */
  total: number | undefined;
  /** Chunks of (n,) uint8. Ends early, or throws, when the connection breaks. Leaving the loop closes it. */
  body: AsyncIterable<Uint8Array>;
}
