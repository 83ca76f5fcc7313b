import { setTimeout } from "node:timers/promises";
import { abortedError } from "../../media/abort.ts";
import type { Clock } from "./http-client.ts";

/** Real time. */
export const systemClock: Clock = {
  now: Date.now,
  async sleep(milliseconds, signal) {
    await setTimeout(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(
      (error: unknown) => {
        if (signal?.aborted === true) throw abortedError(signal);
        throw error;
      },
    );
  },
};
