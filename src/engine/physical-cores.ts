import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/**
 * Physical cores this process may use: matrix products gain nothing from a second thread on one core.
 * Counted from the kernel's topology on Linux; elsewhere all logical processors are taken for cores.
 */
export function physicalCores(): number {
  const logical = availableParallelism();
  if (process.platform !== "linux") return logical;
  try {
    const cores = new Set<string>();
    for (let processor = 0; processor < logical; processor++) {
      const folder = `/sys/devices/system/cpu/cpu${processor}/topology`;
      const read = (file: string): string => readFileSync(`${folder}/${file}`, "utf8").trim();
      cores.add(`${read("physical_package_id")}:${read("core_id")}`);
    }
    return Math.max(1, Math.min(cores.size, logical));
  } catch {
    return logical;
  }
}
