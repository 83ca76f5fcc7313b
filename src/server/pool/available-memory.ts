import { readFileSync } from "node:fs";
import { totalmem } from "node:os";

/**
 * Bytes that a new process could take. In a container the pages that the system keeps of files are counted as free,
 * as they are outside of one: after a model was read, `process.availableMemory()` alone would say that nothing is left.
 */
export function availableMemory(): number {
  const limit = process.constrainedMemory();
  if (limit === 0 || limit >= totalmem()) return process.availableMemory();
  try {
    const used = Number(readFileSync("/sys/fs/cgroup/memory.current", "utf8"));
    const stat = readFileSync("/sys/fs/cgroup/memory.stat", "utf8");
    const files = [...stat.matchAll(/^(?:in)?active_file (\d+)$/gm)].reduce(
      (sum, [, bytes]) => sum + Number(bytes),
      0,
    );
    return Math.max(0, limit - (used - files));
  } catch {
    return process.availableMemory();
  }
}
