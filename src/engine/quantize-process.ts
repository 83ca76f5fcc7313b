import { ChildProcess, type ExitReport } from "../process/child-process.ts";
import { MullError } from "../spec/errors.ts";
import type { QuantizeReply, QuantizeRequest } from "./quantize-child.ts";

/** `[  12/ 291] blk.0.attn_k.weight - [ 4096,  1024, 1, 1], type = f16, converting to q4_K .. size = …` */
const TENSOR_LINE = /^\[ *\d+\/ *\d+\] (\S+) /;
const REASON = /failed to quantize: (.*)$/;
/** What a stream of C++ says of a failed write. */
const WRITE_FAILED = /iostream|basic_ios|ios_base/;

export interface QuantizeRun {
  request: QuantizeRequest;
  /** Called after each tensor is written. */
  onTensor: (name: string) => void;
  signal: AbortSignal | undefined;
}

/** How the quantiser ended, when nothing went wrong with the process itself. */
export type QuantizeOutcome = "done" | "write-failed" | { refused: string };

/**
 * Runs llama.cpp's quantiser in a process of its own: what it does not like it may answer with an abort, and only the
 * end of a process stops it. When this settles, the process is gone.
 *
 * @throws MullError `engine_crashed`, `engine_unavailable`, `aborted`
 */
export async function runQuantizer({ request, onTensor, signal }: QuantizeRun): Promise<QuantizeOutcome> {
  signal?.throwIfAborted();
  let reply: QuantizeReply | undefined;
  let reason = "";
  let stop = (): void => {};
  const report = await new Promise<ExitReport>((resolve) => {
    const child = new ChildProcess<QuantizeRequest, QuantizeReply>({
      entry: "engine/quantize-child.js",
      env: { UV_THREADPOOL_SIZE: "1", GGML_NO_BACKTRACE: "1" },
      onMessage: (message) => (reply = message),
      onLine: (line) => {
        const tensor = TENSOR_LINE.exec(line)?.[1];
        if (tensor !== undefined) onTensor(tensor);
        reason = REASON.exec(line)?.[1] ?? reason;
      },
      onExit: resolve,
    });
    stop = () => child.kill();
    signal?.addEventListener("abort", stop, { once: true });
    child.send(request);
  });
  signal?.removeEventListener("abort", stop);
  signal?.throwIfAborted();
  if (reply?.type === "failed") throw MullError.from(reply.error);
  if (reply === undefined) throw crashError(request.input, report);
  if (reply.code === 0) return "done";
  return WRITE_FAILED.test(reason) ? "write-failed" : { refused: reason };
}

function crashError(input: string, { code, signal, lastLines }: ExitReport): MullError {
  const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
  const memory = signal === "SIGKILL" ? " If nobody killed it, the machine ran out of memory." : "";
  return new MullError("engine_crashed", `The process that quantised ${input} ${how}.${memory}`, {
    hint: "Nothing was written. details.lastLines has its last words.",
    details: { signal, code, lastLines: lastLines.slice(-10) },
  });
}
