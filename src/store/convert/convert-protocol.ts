import type { SerializedError } from "../../spec/errors.ts";
import type { ConvertOptions, ConvertedModel } from "./convert-options.ts";

/** Host to the process that converts. */
export type ConvertRequest =
  | {
      type: "convert";
      folder: string;
      outputFolder: string;
      options: ConvertOptions;
      /** Most resident memory, in bytes. */
      memoryBytes: number;
    }
  | { type: "abort" };

/** Process to host; `done` or `failed` is the last. */
export type ConvertReply =
  /** Names that files have until they are complete. */
  | { type: "files"; paths: readonly string[] }
  | { type: "progress"; completed: number; total: number }
  | ({ type: "done" } & ConvertedModel)
  | { type: "failed"; error: SerializedError };

/** Exit code of a process that found itself over its memory limit. */
export const MEMORY_EXIT_CODE = 86;
