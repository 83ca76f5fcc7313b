import { parentPort } from "node:worker_threads";
import { renderTemplate } from "./render-template.ts";
import type { RenderRequest } from "./template-request.ts";

/** Worker entry: one reply per request, in order. */
export type RenderReply = { text: string } | { error: string };

parentPort?.on("message", (request: RenderRequest) => {
  let reply: RenderReply;
  try {
    reply = { text: renderTemplate(request) };
  } catch (error) {
    reply = { error: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(reply);
});
// The first message says that the worker has started: the time limit is for templates, not for loading code.
parentPort?.postMessage({ text: "" } satisfies RenderReply);
