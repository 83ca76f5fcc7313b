import type { Model, ModelDefaults, ModelInfo } from "../spec/model.ts";
import type { LoadOptions } from "../spec/options.ts";
import type { Parameters } from "../store/modelfile/parameters.ts";

/** A model that the server can load: its name, its files, and what is known of it without loading. */
export interface CatalogEntry extends ModelDefaults {
  /** Canonical: "pico:latest". */
  name: string;
  load: LoadOptions;
  licenses?: readonly string[];
  /** As they were written, also those that change nothing here. Default: what `generation` and `load` say. */
  parameters?: Parameters;
  /** Size of all its files, in bytes. */
  bytes: number;
  modifiedAt: Date;
  /** 64 hex digits that change when its files do. */
  digest: string;
}

export interface AcquireOptions {
  /**
   * How long the model stays after this use, in ms: 0 unloads it at once, Infinity keeps it. Default: as the
   * last request wished that wished anything, else the server's.
   */
  keepAliveMs?: number;
  /** Least context length; a model loaded with a shorter one is loaded again when it is idle. */
  contextLength?: number;
  signal?: AbortSignal;
}

/** The right to use a loaded model until `release()`. */
export interface Lease {
  model: Model;
  entry: CatalogEntry;
  /** What loading took this caller, in ms: 0 when it was there. */
  loadMs: number;
  release(): void;
}

export interface LoadedModel {
  entry: CatalogEntry;
  info: ModelInfo;
  /** Undefined: never. */
  expiresAt: Date | undefined;
  /** Requests that use it now. */
  leases: number;
  model: Model;
}

/**
 * The models of a server: which there are, which are loaded. One process per loaded model; concurrent first requests
 * load it once; the least recently used idle one makes room when memory, or their number, runs short.
 */
export interface ModelPool {
  list(): Promise<readonly CatalogEntry[]>;
  /** @throws MullError `model_not_found` */
  find(name: string): Promise<CatalogEntry>;
  /** @throws MullError `model_not_found`, `invalid_model`, `out_of_memory`, `server_busy` (draining), `aborted` */
  acquire(name: string, options?: AcquireOptions): Promise<Lease>;
  loaded(): readonly LoadedModel[];
  /** Unloads when its requests have ended. False: it was not loaded. */
  unload(name: string): Promise<boolean>;
  /**
   * Removes a model from the disk. Requests that use it go on to their end, then it is unloaded.
   *
   * @throws MullError `model_not_found`, `invalid_argument`: see `Catalog`
   */
  remove(name: string): Promise<void>;
  /** @throws MullError `invalid_argument` when a model of the store would not be found by this name */
  requireFree(name: string): Promise<void>;
  /** Takes no new requests, waits this long for running ones, then closes every model. */
  close(drainMs: number): Promise<void>;
}
