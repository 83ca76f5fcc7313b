import { MullError } from "../spec/errors.ts";
import type { ServerContext } from "./server-context.ts";

/** What is known of the request that failed: the variables of its Hono context. */
export interface FailedRequest {
  /** Under which the log has the whole of it. */
  requestId: string;
  /** The model that it named. */
  model?: string;
}

/** An error as a client may read it: no file of this machine, no details, nothing that was not foreseen. */
export function publicError(error: MullError, context: ServerContext, request: FailedRequest): MullError {
  if (error.code === "internal") {
    return new MullError(
      "internal",
      `The server failed in an unforeseen way (request ${request.requestId}).`,
    );
  }
  const message = publicText(error.message, context, request.model);
  // A hint about flags is for whoever runs the server, and a client cannot follow it.
  const hint = error.hint === undefined || /(?<![\w-])--[a-z]/.test(error.hint) ? undefined : error.hint;
  const { param, retryAfterSeconds } = error.details;
  return new MullError(error.code, message, {
    ...(hint === undefined ? {} : { hint: publicText(hint, context, request.model) }),
    details: {
      ...(param === undefined ? {} : { param }),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    },
  });
}

/** Seconds for a Retry-After header, or undefined when the error is not one to come back after. */
export function retryAfterSeconds(error: MullError): number | undefined {
  if (error.httpStatus !== 429 && error.httpStatus !== 503) return undefined;
  const { retryAfterSeconds: seconds } = error.details;
  return typeof seconds === "number" && seconds >= 0 ? Math.ceil(seconds) : undefined;
}

/** A text without the paths of files on this machine. @param model that the request names */
export function publicText(text: string, context: ServerContext, model: string | undefined): string {
  let safe = text;
  for (const [path, name] of modelFiles(context)) safe = safe.replaceAll(path, name);
  const nameOf = (path: string): string =>
    model !== undefined && /\.gguf$/i.test(path) ? `model ${model}` : "a file";
  return safe
    .replaceAll(QUOTED_PATH, (_, quote: string, path: string) => `${quote}${nameOf(path)}${quote}`)
    .replaceAll(BARE_PATH, (found: string, root: string, rest: string) => {
      // A full stop behind a path ends the sentence.
      const path = found.replace(/\.$/, "");
      // It needs a second separator or an ending: "/set" is no path.
      const isPath = root.length > 1 || /[/\\]|\.\w/.test(rest);
      return isPath ? nameOf(path) + found.slice(path.length) : found;
    });
}

/** Paths of model files and the names they have for clients; longest first, because one can begin another. */
function modelFiles(context: ServerContext): [path: string, name: string][] {
  const files: [string, string][] = [];
  for (const { entry, info } of context.models.loaded()) {
    for (const path of Object.values(info.files).flat()) files.push([path, `model ${entry.name}`]);
  }
  for (const [name, { model, projector }] of Object.entries(context.options.models)) {
    for (const path of [model, projector]) if (path !== undefined) files.push([path, `model ${name}`]);
  }
  return files.filter(([path]) => /[/\\]/.test(path)).sort(([a], [b]) => b.length - a.length);
}

/** How an absolute path begins, unless it is one of this server's URLs. Within quotes a path may hold blanks. */
const ROOT = String.raw`(?:file:\/\/|~?\/(?!(?:api|v1|health|metrics|openapi)\b)|[A-Za-z]:[\\/]|\\\\)`;
const QUOTED_PATH = new RegExp(String.raw`(["'\`])(${ROOT}[^"'\`\n]*)\1`, "g");
const BARE_PATH = new RegExp(String.raw`(?<![\w:/.~\\<>)-])(${ROOT})([^\s"'\`:;,()]+)`, "g");
