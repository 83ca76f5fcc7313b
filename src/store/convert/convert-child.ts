/**
 * Entry of the process that converts one folder. It parses files that strangers wrote, and keeps a core busy for
 * minutes; so it is not the host's. It ends when its parent does, and leaves no unfinished file behind.
 */
import { leaveSignalsToParent } from "../../process/leave-signals.ts";
import { KERNEL_LIMITS_MEMORY } from "../../process/memory-limit.ts";
import { MullError } from "../../spec/errors.ts";
import { convertFolder } from "./convert-folder.ts";
import { type ConvertReply, type ConvertRequest, MEMORY_EXIT_CODE } from "./convert-protocol.ts";

const WATCH_INTERVAL_MS = 50;
const PROGRESS_INTERVAL_MS = 100;

const cancelled = new AbortController();

leaveSignalsToParent();
process.on("disconnect", () => cancelled.abort());
process.on("message", (request: ConvertRequest) => {
  if (request.type === "abort") cancelled.abort();
  else void convert(request);
});

async function convert(request: Extract<ConvertRequest, { type: "convert" }>): Promise<void> {
  const { folder, outputFolder, options, memoryBytes } = request;
  const watch = KERNEL_LIMITS_MEMORY ? undefined : setInterval(watchMemory, WATCH_INTERVAL_MS, memoryBytes);
  let told = 0;
  try {
    const result = await convertFolder(folder, outputFolder, {
      ...options,
      signal: cancelled.signal,
      onFiles: (paths) => void reply({ type: "files", paths }),
      onProgress: (completed, total) => {
        if (completed < total && performance.now() - told < PROGRESS_INTERVAL_MS) return;
        told = performance.now();
        void reply({ type: "progress", completed, total });
      },
    });
    await reply({ type: "done", ...result });
  } catch (error) {
    await reply({ type: "failed", error: MullError.wrap(error).toJSON() });
  } finally {
    clearInterval(watch);
    if (process.connected) process.disconnect();
  }
}

function watchMemory(limitBytes: number): void {
  if (process.memoryUsage.rss() > limitBytes) process.exit(MEMORY_EXIT_CODE);
}

/** Settles when the message has left. */
async function reply(message: ConvertReply): Promise<void> {
  // The error of a parent that has just gone is no news: "disconnect" cancels then.
  await new Promise<void>((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}
