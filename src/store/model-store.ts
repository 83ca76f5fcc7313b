import type { Digest } from "./digest.ts";
import type { Descriptor, Manifest } from "./manifest.ts";
import type { ModelName } from "./model-name.ts";
import type { StorePaths } from "./store-paths.ts";

/** A model whose manifest is in a store. Its blobs may be damaged or missing: `checkBlob` tells. */
export interface StoredModel {
  name: ModelName;
  /** SHA-256 of the manifest's bytes: the model's ID. */
  digest: Digest;
  manifest: Manifest;
  /** Config and layers, in bytes. */
  bytes: number;
  /** When the manifest was written. */
  modifiedAt: Date;
}

/** A manifest that is there and cannot be read: shown, never skipped in silence. */
export interface DamagedModel {
  name: ModelName;
  path: string;
  problem: string;
}

/**
 * - `intact`: it was verified, and is unchanged since by size, inode and times
 * - `unverified`: right size, but nothing vouches for its content
 * - `wrong-size`, `absent`
 */
export type BlobState = "intact" | "unverified" | "wrong-size" | "absent";

/**
 * A right to blobs while work goes on: what it names is not pruned, by this or any other process, until `release()`
 * or the death of the process.
 */
export interface Pin {
  /** More blobs. Afterwards whatever is found in the store stays there. */
  add(digests: readonly Digest[]): Promise<void>;
  release(): Promise<void>;
}

export interface VerifyEvent {
  /** `damaged`: content differs from the name; it is moved away, so that nothing uses it. */
  kind: "checking" | "intact" | "damaged" | "missing" | "unreadable-manifest" | "leftover";
  digest?: Digest;
  path?: string;
  /** Models that need it. */
  models: readonly ModelName[];
  bytes?: number;
  problem?: string;
}

export interface VerifyOptions {
  signal?: AbortSignal;
  /** Bytes of the blob that is being hashed, of all that it has. */
  onProgress?: (completed: number, total: number) => void;
}

/**
 * Models on a disk: manifests and blobs in Ollama's layout. Several processes may use one store at a time, and each may
 * die at any moment: a blob has its name only when its bytes were verified and are on the disk, a manifest only when
 * all its blobs are there.
 *
 * Every method throws `store_unavailable` (folder cannot be read or written) and `insufficient_storage` (disk full).
 */
export interface ModelStore {
  readonly paths: StorePaths;

  /** All readable models, newest first. 500 of them take well below 100 ms. */
  list(): Promise<readonly StoredModel[]>;
  damaged(): Promise<readonly DamagedModel[]>;
  /** Names are compared without case. @throws MullError `invalid_model` for a damaged manifest */
  find(name: ModelName): Promise<StoredModel | undefined>;
  /** By the ID of a model, or a model layer's digest. */
  findByDigest(digest: Digest): Promise<StoredModel | undefined>;

  blobState(blob: Pick<Descriptor, "digest" | "size">): Promise<BlobState>;
  /**
   * Whether a blob is there, has that size, and its content is what its name says: hashes it once where nothing vouches
   * for it. A blob that differs from its name is moved to `damaged/`.
   */
  checkBlob(blob: Pick<Descriptor, "digest" | "size">, signal?: AbortSignal): Promise<boolean>;
  /**
   * Small bytes (a template, a config, a manifest) to a blob.
   */
  writeBlob(bytes: Uint8Array): Promise<{ digest: Digest; size: number }>;
  /**
   * A stream to a blob, hashed while it is written. With `expected`, other content leaves nothing behind.
   * @throws MullError `digest_mismatch`
   */
  receiveBlob(
    body: AsyncIterable<Uint8Array>,
    options?: { expected?: Digest; signal?: AbortSignal },
  ): Promise<{ digest: Digest; size: number }>;
  /**
   * A file elsewhere to a blob: a clone or a hard link where the file system can, else a copy. It is hashed. Where it is
   * a link and its owner writes to it later, the blob is not intact any more.
   * @throws MullError `model_not_found`; `invalid_argument` for a file that somebody writes to meanwhile
   */
  importFile(
    path: string,
    options?: {
      copy?: boolean;
      signal?: AbortSignal;
      onProgress?: (completed: number, total: number) => void;
    },
  ): Promise<{ digest: Digest; size: number }>;
  /**
   * A file in `partial/` that is complete, synced and was hashed by the caller: it gets its name and the record of
   * its verification. When the blob is there and intact, the file is removed. When this fails the file stays, unless
   * its bytes cannot be trusted any more: it has another size, or could not be synced.
   * @throws MullError `digest_mismatch`
   */
  publish(path: string, blob: { digest: Digest; size: number }): Promise<void>;
  /** Opens a temporary file in `partial/` that nobody else uses; it is removed at the next `prune` if its owner dies. */
  temporaryFile(): Promise<string>;
  /** The same for a folder, for programs that write several files. */
  temporaryFolder(): Promise<string>;
  /** Removes a temporary file or folder with all that is in it. Never fails: what stays is removed by a prune. */
  removeTemporary(path: string): Promise<void>;
  /**
   * Runs `work` while no other process works on the same thing (a blob's download); waits for one that does. A lock of
   * a process that died is taken over. `onWait` is called about once a second while waiting. Work with a key does not
   * ask for the same key again: it would wait for itself.
   */
  exclusively<T>(
    key: string,
    work: () => Promise<T>,
    options?: { signal?: AbortSignal; onWait?: () => void },
  ): Promise<T>;
  /** @throws MullError `insufficient_storage` when `bytes` more do not fit, with both figures */
  requireSpace(bytes: number): Promise<void>;

  pin(digests?: readonly Digest[]): Promise<Pin>;
  /**
   * Puts a manifest in place, in one step, after looking that all its blobs are there.
   * @throws MullError `invalid_model` naming a blob that is not
   */
  writeManifest(name: ModelName, bytes: Uint8Array): Promise<StoredModel>;
  /** @throws MullError `model_not_found` */
  copy(from: ModelName, to: ModelName): Promise<StoredModel>;
  /**
   * The name, also of a damaged manifest, and the blobs that nothing else needs. `freedBytes` does not count files to
   * which others hold links.
   * @throws MullError `model_not_found`
   */
  remove(name: ModelName): Promise<{ freedBytes: number }>;
  /**
   * Removes blobs that no manifest names and nobody has pinned, what was moved to `damaged/`, and what dead processes
   * left. Unfinished downloads stay unless `partials`; those of a pinned blob, or of which somebody holds the lock whose
   * key is the stem of their files' names, stay in any case. With a damaged manifest in the store no blob is removed: it
   * may be needed.
   */
  prune(options?: { partials?: boolean }): Promise<{ removed: readonly Digest[]; freedBytes: number }>;
  /**
   * Hashes every blob, whatever its record says, and reads every manifest. Records are renewed. A model's blob is
   * reported as `damaged` or as `missing`; a manifest that states a wrong size as `unreadable-manifest`; blobs that
   * no model needs, files of dead processes and what lies in `damaged/` as `leftover`.
   */
  verify(options?: VerifyOptions): AsyncIterable<VerifyEvent>;
}
