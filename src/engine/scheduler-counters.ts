import type { EngineStats } from "../spec/model.ts";

/** What was done since the engine was started. They only grow. */
export type SchedulerCounters = Pick<
  EngineStats,
  | "promptTokens"
  | "cachedTokens"
  | "generatedTokens"
  | "encodedImages"
  | "cachedImages"
  | "encodeSeconds"
  | "prefillSeconds"
  | "generateSeconds"
>;

export function newCounters(): SchedulerCounters {
  return {
    promptTokens: 0,
    cachedTokens: 0,
    generatedTokens: 0,
    encodedImages: 0,
    cachedImages: { context: 0, snapshot: 0, rows: 0 },
    encodeSeconds: 0,
    prefillSeconds: 0,
    generateSeconds: 0,
  };
}
