import type { OnTransferProgress, TransferProgress } from "../../../store/transfer-progress.ts";
import { progressStream } from "../../progress-stream.ts";
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
  const progress = progressStream(c.var.signal, work);
  if (stream) return streamNdjson(c, context, progress);
  let last: TransferProgress = { status: "success" };
  for await (const line of progress) last = line;
  return c.json(last);
}
