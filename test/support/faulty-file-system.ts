import type { FileSystem, StoreFile } from "../../src/store/disk/file-system.ts";
import { systemError } from "./watched-file-system.ts";

/** A call of the store's file system, or of a file that it opened. */
export type StoreCall = keyof FileSystem | `file.${keyof StoreFile}`;

/** Seen before the call is made: throwing makes it fail. */
export type WatchStore = (call: StoreCall, args: readonly unknown[]) => void;

type Calls = Readonly<Record<string, (...args: never[]) => unknown>>;

/** A file system whose every call is watched, those of open files included. */
export function watchedStore(fs: FileSystem, watch: WatchStore): FileSystem {
  const watchAll = <T extends object>(target: T, prefix: string): T =>
    Object.fromEntries(
      Object.entries(target as Calls).map(([name, call]) => [
        name,
        name.endsWith("Sync")
          ? (...args: never[]): unknown => {
              watch(`${prefix}${name}` as StoreCall, args);
              return call(...args);
            }
          : async (...args: never[]): Promise<unknown> => {
              watch(`${prefix}${name}` as StoreCall, args);
              const result = await call(...args);
              return name === "open" ? watchAll(result as StoreFile, "file.") : result;
            },
      ]),
    ) as T;
  return watchAll(fs, "");
}

/** Lets one call fail, counted from 1. `calls` counts them all. */
export class FaultyFileSystem {
  calls = 0;
  failed: StoreCall | undefined;
  readonly fs: FileSystem;

  constructor(fs: FileSystem, failing: number, code: string) {
    this.fs = watchedStore(fs, (call) => {
      this.calls += 1;
      if (this.calls !== failing) return;
      this.failed = call;
      throw systemError(code, call);
    });
  }
}
