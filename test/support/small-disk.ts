import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A disk in memory of which the test decides how much room it has and whether it is written to. */
export interface SmallDisk {
  path: string;
  /** From now on so much is free, in bytes. */
  leave: (bytes: number) => void;
  /** As nobody but the owner of the disk may. */
  remount: (how: "ro" | "rw") => void;
  unmount: () => void;
}

/** Whether this process may mount one; says so once when it may not, since its tests are skipped then. */
export const canMount: boolean = mayMount();

function mayMount(): boolean {
  try {
    if (process.platform !== "linux") throw new Error("mount -t tmpfs is Linux");
    mountDisk(2 ** 20).unmount();
    return true;
  } catch (error) {
    console.warn(`Skipped: tests of full and read-only disks: ${(error as Error).message}`);
    return false;
  }
}

/** @throws Error when this user may not */
export function mountDisk(bytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "mull-test-disk-"));
  try {
    mount("-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path);
  } catch (error) {
    rmSync(path, { recursive: true });
    throw error;
  }
  const unmount = (): void => {
    process.off("exit", unmount);
    // A child that still ends may hold it: it goes when that does.
    spawnSync("umount", ["-l", path], { stdio: "ignore" });
    rmSync(path, { recursive: true, force: true });
  };
  process.once("exit", unmount);
  return {
    path,
    leave(free) {
      const { bsize, blocks, bfree } = statfsSync(path);
      mount("-o", `remount,size=${(blocks - bfree) * bsize + free}`, path);
    },
    remount: (how) => mount("-o", `remount,${how}`, path),
    unmount,
  };
}

function mount(...args: string[]): void {
  const { status, stderr, error } = spawnSync("mount", args, { encoding: "utf8" });
  if (status !== 0) throw error ?? new Error(stderr.trim());
}
