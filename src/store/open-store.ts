import { resolve } from "node:path";
import { BlobFiles } from "./disk/blob-files.ts";
import { Claims } from "./disk/claims.ts";
import { type FileSystem, fileSystem } from "./disk/file-system.ts";
import { requireSpace } from "./disk/free-space.ts";
import { importFile } from "./disk/import-file.ts";
import { ModelFiles } from "./disk/model-files.ts";
import { createPin } from "./disk/pins.ts";
import { ProcessLock } from "./disk/process-lock.ts";
import { prune } from "./disk/prune.ts";
import { publishBlob } from "./disk/publish-blob.ts";
import { receiveBlob, writeBlob } from "./disk/receive-blob.ts";
import { requireWritable, type StoreContext, workLock } from "./disk/store-context.ts";
import { CallersError, publicError } from "./disk/store-error.ts";
import { StoreFolders } from "./disk/store-folders.ts";
import { TemporaryFiles } from "./disk/temporary-files.ts";
import { verify } from "./disk/verify.ts";
import type { ModelStore, Pin } from "./model-store.ts";
import { defaultStoreRoot, storePaths } from "./store-paths.ts";

export interface OpenStoreOptions {
  /** Default: MULL_MODELS, else the folder of the XDG specification. */
  root?: string;
  /** Default: the process's. */
  env?: NodeJS.ProcessEnv;
  /** Nothing is written below `root`: another program's store. Default false. */
  readOnly?: boolean;
  /** The folder for what was verified in a store that is not written to. Default: it is forgotten with the process. */
  records?: string;
  fileSystem?: FileSystem;
  /** Milliseconds since 1970. */
  now?: () => number;
}

/** Opens a store. Nothing is touched before the first call; a root that is not there is an empty store. */
export function openStore(options: OpenStoreOptions = {}): ModelStore {
  const { readOnly = false, fileSystem: fs = fileSystem, now = Date.now } = options;
  const paths = storePaths(resolve(options.root ?? defaultStoreRoot(options.env ?? process.env)));
  const claims = new Claims(fs, paths.locks);
  const context: StoreContext = {
    fs,
    paths,
    readOnly,
    records: readOnly ? options.records : paths.verified,
    now,
    claims,
    folders: new StoreFolders(fs, paths.root),
    locks: new ProcessLock(claims),
    temporaries: new TemporaryFiles(fs, paths.partial, claims),
  };
  const blobs = new BlobFiles(context);
  const models = new ModelFiles(context, blobs);

  /** Whatever the system says becomes an error that says what to do. */
  const attempt = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw publicError(error, paths.root);
    }
  };
  const guardPin = (pin: Pin): Pin => ({
    add: (digests) => attempt(() => pin.add(digests)),
    release: () => attempt(() => pin.release()),
  });

  return {
    paths,
    list: () => attempt(() => models.list()),
    damaged: () => attempt(() => models.damaged()),
    find: (name) => attempt(() => models.find(name)),
    findByDigest: (digest) => attempt(() => models.findByDigest(digest)),
    blobState: (blob) => attempt(() => blobs.state(blob)),
    checkBlob: (blob, signal) => attempt(() => blobs.check(blob, signal)),
    writeBlob: (bytes) => attempt(() => writeBlob(context, blobs, bytes)),
    receiveBlob: (body, how = {}) => attempt(() => receiveBlob(context, blobs, body, how)),
    importFile: (path, how = {}) => attempt(() => importFile(context, blobs, path, how)),
    publish: (path, blob) => attempt(() => publishBlob(context, blobs, path, blob)),
    temporaryFile: () =>
      attempt(async () => {
        requireWritable(context);
        return context.temporaries.create();
      }),
    temporaryFolder: () =>
      attempt(async () => {
        requireWritable(context);
        return context.temporaries.createFolder();
      }),
    removeTemporary: (path) => context.temporaries.remove(path),
    exclusively: (key, work, how) =>
      attempt(async () => {
        requireWritable(context);
        return context.locks.exclusively(workLock(key), () => callersWork(work), how);
      }),
    requireSpace: (bytes) => requireSpace(fs, paths.root, bytes),
    pin: (digests = []) => attempt(async () => guardPin(await createPin(context, digests))),
    writeManifest: (name, bytes) => attempt(() => models.write(name, bytes)),
    copy: (from, to) => attempt(() => models.copy(from, to)),
    remove: (name) => attempt(() => models.remove(name)),
    prune: (how) => attempt(() => prune(context, blobs, how)),
    verify: (how = {}) => guarded(verify(context, blobs, how), paths.root),
  };
}

async function callersWork<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new CallersError(error);
  }
}

async function* guarded<T>(events: AsyncIterable<T>, root: string): AsyncGenerator<T, void, undefined> {
  try {
    yield* events;
  } catch (error) {
    throw publicError(error, root);
  }
}
