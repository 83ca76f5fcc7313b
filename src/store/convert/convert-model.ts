import { rm } from "node:fs/promises";
import { abortedError, throwIfAborted } from "../../media/abort.ts";
import { ChildProcess, type ExitReport } from "../../process/child-process.ts";
import { MullError } from "../../spec/errors.ts";
import type { ConvertOptions, ConvertedModel } from "./convert-options.ts";
import { type ConvertReply, type ConvertRequest, MEMORY_EXIT_CODE } from "./convert-protocol.ts";

export interface ConvertModelOptions extends ConvertOptions {
  signal?: AbortSignal;
  /** Called some times a second, with the bytes written of those to write. */
  onProgress?: (completedBytes: number, totalBytes: number) => void;
}

const MEMORY_BYTES = 1.5e9;
/** What a process that was told to stop gets to remove its files. */
const STOP_MS = 5000;

/**
 * Converts a folder of safetensors to GGUF: LLaVA 1.0 to 1.6 with CLIP, in the format of LLaVA's own repository or of
 * transformers, or a text-only Llama, Mistral or Qwen2. It runs in a process of its own, in at most 1.5 GB of memory
 * (most of it for what hostile files could make it take), and leaves nothing behind unless it succeeds.
 *
 * @param outputFolder where `NAME-TYPE.gguf` and `mmproj-NAME-TYPE.gguf` are written
 * @throws MullError `model_not_found` (folder, files or vision tower missing, or pickles), `invalid_model` (damaged, or
 *   of a kind that mull does not convert), `insufficient_storage`, `store_unavailable`, `out_of_memory`, `aborted`
 */
export async function convertModel(
  folder: string,
  outputFolder: string,
  { signal, onProgress, ...options }: ConvertModelOptions = {},
): Promise<ConvertedModel> {
  throwIfAborted(signal);
  let files: readonly string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => {};
  let child: ChildProcess<ConvertRequest, ConvertReply> | undefined;
  try {
    return await new Promise<ConvertedModel>((resolve, reject) => {
      let outcome: ConvertedModel | MullError | undefined;
      child = new ChildProcess<ConvertRequest, ConvertReply>({
        entry: "store/convert/convert-child.js",
        env: { NODE_OPTIONS: "--max-old-space-size=768" },
        memoryLimitBytes: MEMORY_BYTES,
        onMessage: (reply) => {
          if (reply.type === "files") files = reply.paths;
          else if (reply.type === "progress") onProgress?.(reply.completed, reply.total);
          else if (reply.type === "failed") outcome = MullError.from(reply.error);
          else outcome = { model: reply.model, projector: reply.projector, warnings: reply.warnings };
        },
        // Only when the process is gone: until then it may still be removing what it wrote.
        onExit: (report) => {
          if (outcome !== undefined && !MullError.is(outcome)) resolve(outcome);
          else if (signal?.aborted === true) reject(abortedError(signal));
          else reject(outcome ?? crashError(folder, report));
        },
      });
      onAbort = () => {
        child?.send({ type: "abort" });
        timer = setTimeout(() => child?.kill(), STOP_MS);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      child.send({ type: "convert", folder, outputFolder, options, memoryBytes: MEMORY_BYTES });
    });
  } catch (error) {
    await removeLeftovers(files, child?.pid);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** A process that was killed could not do it. */
async function removeLeftovers(files: readonly string[], pid: number | undefined): Promise<void> {
  for (const path of files.flatMap((file) => [file, `${file}.${pid}.unfinished`])) {
    await rm(path, { force: true }).catch(() => {});
  }
}

function crashError(folder: string, { code, signal, lastLines }: ExitReport): MullError {
  const details = { exitCode: code, signal, lastLines };
  if (code === MEMORY_EXIT_CODE || lastLines.some((line) => /heap|memory|alloc/i.test(line))) {
    return new MullError("out_of_memory", `Converting ${folder} takes more memory than it may.`, {
      hint: "No known model needs as much: its files may be damaged.",
      details,
    });
  }
  const end = signal === null ? `exit code ${code}` : signal;
  return new MullError("internal", `The process that converted ${folder} died (${end}).`, { details });
}
