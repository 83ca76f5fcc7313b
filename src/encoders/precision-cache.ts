import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import path from "node:path";
import { cacheDirectory } from "../cache/cache-directory.ts";
import type { Gguf } from "../gguf/gguf.ts";
import type { WeightType } from "../native/weights.ts";

const PRECISIONS: readonly string[] = ["f32", "f16", "bf16", "q8_0"] satisfies WeightType[];
/** A header with more in front of its tensors is told apart by size and time just as well. */
const HEADER_BYTES = 2 ** 20;

/** The precision chosen earlier for this file on this device, if it was. */
export async function readPrecisionDecision(gguf: Gguf, device: string): Promise<WeightType | undefined> {
  try {
    const text = await readFile(await decisionPath(gguf, device), "utf8");
    return PRECISIONS.includes(text.trim()) ? (text.trim() as WeightType) : undefined;
  } catch {
    return undefined;
  }
}

/** Remembers it; where the cache cannot be written, the choice is simply made again. */
export async function writePrecisionDecision(
  gguf: Gguf,
  device: string,
  precision: WeightType,
): Promise<void> {
  try {
    const file = await decisionPath(gguf, device);
    await mkdir(path.dirname(file), { recursive: true });
    // Two engines may choose at the same time: each writes a whole file, and the last one stays.
    const unfinished = `${file}.${process.pid}`;
    await writeFile(unfinished, `${precision}\n`);
    await rename(unfinished, file);
  } catch {
    return;
  }
}

/** Depends on the file, and on what decides about speed: the device and the processor. */
async function decisionPath(gguf: Gguf, device: string): Promise<string> {
  const digest = createHash("sha256").update(`${device}\n${cpus()[0]?.model}\n`);
  for (const file of gguf.paths) {
    const { size, mtimeMs } = await stat(file);
    digest.update(`${size} ${mtimeMs}\n`);
    const handle = await open(file);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.min(HEADER_BYTES, size)), 0);
      digest.update(buffer.subarray(0, bytesRead));
    } finally {
      await handle.close();
    }
  }
  return path.join(cacheDirectory(), "encoder-precision", digest.digest("hex").slice(0, 32));
}
