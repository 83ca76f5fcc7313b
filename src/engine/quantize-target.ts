import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Gguf } from "../gguf/gguf.ts";
import { MullError } from "../spec/errors.ts";

/** @throws MullError `invalid_argument` */
export function requireOtherFile(model: Gguf, output: string): void {
  if (!model.paths.includes(output)) return;
  throw new MullError("invalid_argument", `The output ${output} is the input itself.`, {
    hint: "Write to another file.",
  });
}

/**
 * @param needed bytes that will be written at least
 * @throws MullError `insufficient_storage` with both figures
 */
export async function requireFreeSpace(output: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(output));
  const free = bavail * bsize;
  if (free >= needed) return;
  throw new MullError(
    "insufficient_storage",
    `${output} takes at least ${needed} bytes, but only ${free} are free there.`,
    { hint: "Make room, or write to another disk.", details: { needed, free } },
  );
}
