import type { OnTransferProgress, TransferProgress } from "../../../store/transfer-progress.ts";
import { progressStream } from "../../progress-stream.ts";
import { publicText } from "../../public-error.ts";
import type { RequestContext } from "../../route-module.ts";
import type { ServerContext } from "../../server-context.ts";
import { streamNdjson } from "../../stream-response.ts";

/**
 * Answers with the progress of some work, line by line, or with `stream: false` with its last word. The work may take
 * longer than a request usually may; it ends when the client goes away.
 */
export async function sendProgress(
  c: RequestContext,
  context: ServerContext,
  stream: boolean,
  work: (onProgress: OnTransferProgress, signal: AbortSignal) => Promise<unknown>,
): Promise<Response> {
  c.var.takeYourTime();
  const progress = publicProgress(progressStream(c.var.signal, work), c, context);
  if (stream) return streamNdjson(c, context, progress);
  let last: TransferProgress = { status: "success" };
  for await (const line of progress) last = line;
  return c.json(last);
}

/** A status may repeat what the system said. */
async function* publicProgress(
  progress: AsyncIterable<TransferProgress>,
  c: RequestContext,
  context: ServerContext,
): AsyncGenerator<TransferProgress, void, undefined> {
  for await (const line of progress) {
    yield { ...line, status: publicText(line.status, context, c.var.model) };
  }
}
