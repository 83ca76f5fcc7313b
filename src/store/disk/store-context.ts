import type { StorePaths } from "../store-paths.ts";
import type { Claims } from "./claims.ts";
import type { FileSystem } from "./file-system.ts";
import type { ProcessLock } from "./process-lock.ts";
import type { StoreFolders } from "./store-folders.ts";
import type { TemporaryFiles } from "./temporary-files.ts";
import { readOnlyError } from "./store-error.ts";

/** What the parts of an open store share. */
export interface StoreContext {
  readonly fs: FileSystem;
  readonly paths: StorePaths;
  readonly readOnly: boolean;
  /** Where the records of verification lie; undefined: only in memory. */
  readonly records: string | undefined;
  readonly now: () => number;
  readonly claims: Claims;
  readonly folders: StoreFolders;
  readonly locks: ProcessLock;
  readonly temporaries: TemporaryFiles;
}

/**
 * Whoever adds, replaces or removes a blob, a manifest or a pin does so one at a time, in all processes. Short: nothing
 * is downloaded, hashed or copied meanwhile.
 *
 * @param change is given a check to make right before a step that cannot be undone
 */
export function changeStore<T>(
  context: StoreContext,
  change: (confirm: () => Promise<void>) => Promise<T>,
): Promise<T> {
  requireWritable(context);
  return context.locks.exclusively("store", change);
}

/** The lock for what a caller wants done by one at a time. Its keys are not those of the store's own locks. */
export function workLock(key: string): string {
  return `work ${key}`;
}

/** @throws MullError `store_unavailable` */
export function requireWritable({ readOnly, paths }: StoreContext): void {
  if (readOnly) throw readOnlyError(paths.root);
}
