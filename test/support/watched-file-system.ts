import { type FileSystem, fileSystem } from "../../src/cache/file-system.ts";

export type CallName = keyof FileSystem;

/** One call, seen before it is made: throwing makes it fail; what is returned is told how it went. */
export type Watch = (name: CallName, args: readonly unknown[]) => ((result: unknown) => void) | void;

/** The real file system, watched. */
export function watchedFileSystem(watch: Watch): FileSystem {
  const entries = (Object.keys(NAMES) as CallName[]).map((name) => {
    const call = fileSystem[name] as (...args: unknown[]) => unknown;
    return [
      name,
      (...args: unknown[]): unknown => {
        const after = watch(name, args);
        const result = call(...args);
        after?.(result);
        return result;
      },
    ];
  });
  return Object.fromEntries(entries) as FileSystem;
}

export function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall });
}

/** An object, so that the compiler says when one is missing. */
const NAMES: Record<CallName, true> = {
  chmodSync: true,
  closeSync: true,
  fdatasyncSync: true,
  fstatSync: true,
  fsyncSync: true,
  futimesSync: true,
  lstatSync: true,
  mkdirSync: true,
  openSync: true,
  readSync: true,
  readdirSync: true,
  renameSync: true,
  statfsSync: true,
  unlinkSync: true,
  writeSync: true,
};
