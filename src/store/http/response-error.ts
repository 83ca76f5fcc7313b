import { type ErrorCode, MullError } from "../../spec/errors.ts";
import type { HttpClient, HttpResponse } from "./http-client.ts";
import { retryAfterSeconds } from "./retry-after.ts";
import { serverText, showUrl } from "./server-text.ts";
import { unreachableFor } from "./unreachable.ts";

export interface ResponseErrorOptions {
  /** What was asked for, as messages call it: "The model llava:13b". */
  subject: string;
  /** What to do when the server wants to know who asks: which variable, which login. */
  credentialsHint: string;
}

const MOST_ERROR_BYTES = 64 * 1024;

/** @throws MullError what a status of 300 and more means, with what the server says about it */
export async function requireOk(
  response: HttpResponse,
  client: HttpClient,
  options: ResponseErrorOptions,
): Promise<HttpResponse> {
  if (response.status < 300) return response;
  throw await responseError(response, client, options);
}

/** The body as JSON. @throws MullError `server_unreachable` for anything else, which it names */
export async function readJson(response: HttpResponse): Promise<unknown> {
  const bytes = await response.bytes();
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw unreachableFor("protocol", response.url, `it answers with ${describe(response, bytes)}`, HTML_HINT);
  }
}

/** @throws MullError `server_unreachable` for a web page where bytes of a model were asked for */
export function refuseHtml(response: HttpResponse): void {
  if (!isHtml(response)) return;
  response.discard();
  throw unreachableFor("protocol", response.url, "it answers with a web page", HTML_HINT);
}

const HTML_HINT = "Is the address right? A sign-in page of the network may stand between.";

/** The error that an answer of status 300 or more stands for. Reads its body. */
export async function responseError(
  response: HttpResponse,
  client: HttpClient,
  { subject, credentialsHint }: ResponseErrorOptions,
): Promise<MullError> {
  const { status, url, headers } = response;
  const code = codeOf(status);
  const said = await textOf(response);
  const because = said === "" ? "" : ` It says: ${said}`;
  const wait = retryAfterSeconds(headers["retry-after"], client.clock.now());
  const details = { status, ...(wait === undefined ? {} : { retryAfterSeconds: wait }) };
  const error = (message: string, hint?: string): MullError =>
    new MullError(code, `${message}${because}`, { ...(hint === undefined ? {} : { hint }), details });
  const server = url.host;
  switch (code) {
    case "unauthorized":
      return error(`${server} does not let you have ${lower(subject)} (status ${status}).`, credentialsHint);
    case "model_not_found":
      return error(`${subject} is not at ${server}.`, "Check how the name is written, and its tag.");
    case "rate_limited":
    case "server_busy":
      return error(
        `${server} has too much to do (status ${status}).`,
        wait === undefined ? "Try again later." : `Try again in ${wait} s.`,
      );
    default:
      return error(`${showUrl(url)} answers with status ${status}.`);
  }
}

function codeOf(status: number): ErrorCode {
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 404 || status === 410) return "model_not_found";
  if (status === 429) return "rate_limited";
  return status === 503 ? "server_busy" : "server_unreachable";
}

/** Bodies of registries (`{errors: [{message}]}`), Ollama, Hugging Face (`{error: "…"}`) and plain text. */
async function textOf(response: HttpResponse): Promise<string> {
  if (isHtml(response) || response.headers["content-encoding"] !== undefined) {
    response.discard();
    return isHtml(response) ? "(a web page)" : "";
  }
  const bytes = await response.bytes(MOST_ERROR_BYTES).catch(() => new Uint8Array());
  const text = new TextDecoder().decode(bytes);
  try {
    return serverText(messageIn(JSON.parse(text)) ?? "");
  } catch {
    return serverText(text);
  }
}

function messageIn(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) {
    const messages = value.map(messageIn).filter((message) => message !== undefined);
    return messages.length > 0 ? messages.join("; ") : undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { errors, error, message, code } = value as Record<string, unknown>;
  return messageIn(errors) ?? messageIn(error) ?? messageIn(message) ?? messageIn(code);
}

function isHtml({ headers }: HttpResponse): boolean {
  return /^(?:text\/html|application\/xhtml\+xml)\b/i.test(headers["content-type"]?.trim() ?? "");
}

function describe(response: HttpResponse, bytes: Uint8Array): string {
  if (isHtml(response) || /^\s*<(?:!doctype|html)/i.test(new TextDecoder().decode(bytes.subarray(0, 100)))) {
    return "a web page instead of JSON";
  }
  return bytes.length === 0 ? "nothing instead of JSON" : "something that is no JSON";
}

function lower(subject: string): string {
  return `${subject.charAt(0).toLowerCase()}${subject.slice(1)}`;
}
