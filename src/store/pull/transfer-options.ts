import { setTimeout as sleepFor } from "node:timers/promises";

export interface TransferOptions {
  /** Of one blob at a time. Default 8. */
  connections?: number;
  /** A connection on which nothing comes for so long is given up, and the rest asked for again. Default 30 s. */
  stallMs?: number;
  /** Tries without a byte until a download is given up. Default 6. */
  retries?: number;
  /** Between tries. Default: real time. */
  sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

export interface DownloadOptions extends TransferOptions {
  /** Host, for messages. */
  origin: string;
  signal: AbortSignal;
  /** Bytes that are there. */
  onProgress: (completed: number) => void;
}

export const DEFAULTS: Required<TransferOptions> = {
  connections: 8,
  stallMs: 30_000,
  retries: 6,
  sleep: async (milliseconds, signal) => {
    await sleepFor(milliseconds, undefined, { signal });
  },
};
