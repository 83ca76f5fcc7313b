import { rmSync } from "node:fs";
import { loadLibraries } from "../native/libraries.ts";
import { declareLlama } from "../native/llama.ts";
import { declareLlamaQuantize } from "../native/llama-quantize.ts";
import { leaveSignalsToParent } from "../process/leave-signals.ts";
import { MullError, type SerializedError } from "../spec/errors.ts";

/** What the host asks of the process, once. */
export interface QuantizeRequest {
  /** The file, or the first part under a name that tells of the others. It was checked. */
  input: string;
  /** Does not exist yet. */
  output: string;
  fileType: number;
  allowRequantize: boolean;
  threads: number;
}

export type QuantizeReply =
  /** `code` is 0, or 1 after a reason was written to stderr. */
  { type: "done"; code: number } | { type: "failed"; error: SerializedError };

/** Part of a matrix that the quantiser holds in memory at once, in bytes. Its own default is 8 GiB. */
const BUFFER_BYTES = 256 * 2 ** 20;

/** Entry of the process that quantises one file. Its log lines tell the host how far it is. */
let output: string | undefined;

leaveSignalsToParent();
process.on("disconnect", () => {
  // Native code is still writing: only a signal ends its threads, and nobody else would remove the file.
  if (output !== undefined) rmSync(output, { force: true });
  process.kill(process.pid, "SIGKILL");
});
process.on("message", (request: QuantizeRequest) => void run(request));

async function run(request: QuantizeRequest): Promise<void> {
  output = request.output;
  try {
    const libraries = loadLibraries({ device: "cpu", logs: "stderr" });
    const quantize = declareLlamaQuantize(libraries);
    declareLlama(libraries).backendInit();
    const code = await quantize(request.input, request.output, {
      nthread: request.threads,
      ftype: request.fileType,
      allow_requantize: request.allowRequantize,
      max_buf_size: BUFFER_BYTES,
    });
    send({ type: "done", code });
  } catch (error) {
    send({ type: "failed", error: MullError.wrap(error).toJSON() });
  }
}

function send(reply: QuantizeReply): void {
  process.send?.(reply, undefined, undefined, () => process.exit(0));
}
