/**
 * Entry of the media process. It parses hostile bytes with native code, so it is expendable: it keeps no state
 * between pictures, has no secrets in its environment, and ends when its parent does.
 */
import { leaveSignalsToParent } from "../process/leave-signals.ts";
import { KERNEL_LIMITS_MEMORY } from "../process/memory-limit.ts";
import { MullError } from "../spec/errors.ts";
import { decodeImage } from "./decode-image.ts";
import { loadSharp, type OpenPicture } from "./load-sharp.ts";
import { MEMORY_EXIT_CODE, type MediaReply, type MediaRequest } from "./protocol.ts";

/** Where the kernel does not enforce the memory limit, the process looks at itself this often, in milliseconds. */
const WATCH_INTERVAL_MS = 20;

// Ahead of the first request, which reports the error if there is one.
const sharp = new Promise<OpenPicture>((resolve) => resolve(loadSharp()));
sharp.catch(() => {});

leaveSignalsToParent();
process.on("disconnect", () => process.exit(0));
process.on("message", (request: MediaRequest) => void answer(request));

async function answer({ id, item, limits }: MediaRequest): Promise<void> {
  const watch = KERNEL_LIMITS_MEMORY
    ? undefined
    : setInterval(watchMemory, WATCH_INTERVAL_MS, limits.memoryBytes);
  try {
    reply({ type: "decoded", id, ...(await decodeImage(await sharp, item, limits)) });
  } catch (error) {
    reply({ type: "failed", id, error: MullError.wrap(error).toJSON() });
  } finally {
    clearInterval(watch);
  }
}

/** sharp decodes on another thread, so this timer runs while memory grows. */
function watchMemory(limitBytes: number): void {
  if (process.memoryUsage.rss() > limitBytes) process.exit(MEMORY_EXIT_CODE);
}

function reply(message: MediaReply): void {
  // The callback takes the error of a parent that has just gone; "disconnect" ends the process then.
  process.send?.(message, undefined, undefined, () => {});
}
