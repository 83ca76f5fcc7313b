import { createHash } from "node:crypto";
import { openSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { crc32 } from "node:zlib";
import { type Extent, MOST_EXTENT_BYTES } from "./extents.ts";

/** Extents that follow what was hashed before; without any, the digest is asked for. */
export type HashRequest = readonly Extent[];

export type HashReply =
  | {
      kind: "hashed";
      end: number;
      /** The first that is not what was written; it and what follows is not hashed. */ bad?: Extent;
    }
  | { kind: "digest"; hex: string }
  | { kind: "failed"; message: string; code: string };

const file = openSync(workerData as string, "r");
const hash = createHash("sha256");
// (MOST_EXTENT_BYTES) uint8
const buffer = Buffer.allocUnsafe(MOST_EXTENT_BYTES);

parentPort?.on("message", (extents: HashRequest) => {
  parentPort?.postMessage(answer(extents));
});

function answer(extents: HashRequest): HashReply {
  if (extents.length === 0) return { kind: "digest", hex: hash.digest("hex") };
  try {
    let end = 0;
    for (const extent of extents) {
      end = extent.offset;
      const bytes = read(extent);
      if (bytes.length < extent.length || crc32(bytes) !== extent.checksum) {
        return { kind: "hashed", end, bad: extent };
      }
      hash.update(bytes);
      end += extent.length;
    }
    return { kind: "hashed", end };
  } catch (error) {
    const { message, code = "" } = error as NodeJS.ErrnoException;
    return { kind: "failed", message, code };
  }
}

/** Less at the end of the file. */
function read({ offset, length }: Extent): Buffer {
  let filled = 0;
  while (filled < length) {
    const count = readSync(file, buffer, filled, length - filled, offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}
