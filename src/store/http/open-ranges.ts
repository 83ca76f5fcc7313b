import type { ByteRange, RemoteBytes } from "../remote-model.ts";
import type { HttpClient, HttpResponse } from "./http-client.ts";
import { refuseHtml, requireOk, type ResponseErrorOptions } from "./response-error.ts";
import { unreachableFor } from "./unreachable.ts";

export interface OpenRangesOptions extends ResponseErrorOptions {
  client: HttpClient;
  /** Asks the first server, with what it takes to be let in, and follows its redirects. */
  request(headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpResponse>;
  /** Origin of that server. */
  origin: string;
  allowPlainHttp?: boolean;
}

/**
 * Opens pieces of one blob: the `open` of a `RemoteBlob`. Where a redirect led to another origin (storage with a signed
 * address), later pieces are asked for there directly, until that address expires; then the first server is asked anew.
 */
export function openRanges(
  options: OpenRangesOptions,
): (range: ByteRange, signal: AbortSignal) => Promise<RemoteBytes> {
  const { client, origin, allowPlainHttp = false } = options;
  let storage: URL | undefined;

  return async (range, signal) => {
    const headers = rangeHeaders(range);
    const response =
      (await fromStorage(headers, signal)) ??
      (await requireOk(await options.request(headers, signal), client, options).catch((error: unknown) => {
        storage = undefined;
        throw error;
      }));
    if (response.url.origin !== origin) storage = response.url;
    refuseHtml(response);
    return remoteBytes(response, range);
  };

  async function fromStorage(
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<HttpResponse | undefined> {
    if (storage === undefined) return undefined;
    const url = storage;
    const response = await client.send({ url, headers, signal, allowPlainHttp });
    if (response.status < 300) return response;
    if (storage === url) storage = undefined;
    // Storage says 403, 401, 410, 404 or 400 of an address that has expired; of load it says the rest.
    if (response.status === 416 || response.status === 429 || response.status >= 500) {
      return requireOk(response, client, options);
    }
    response.discard();
    return undefined;
  }
}

function rangeHeaders({ start, end }: ByteRange): Record<string, string> {
  if (start === 0 && (end === undefined || end === 0)) return {};
  return { range: `bytes=${start}-${end === undefined ? "" : end - 1}` };
}

/** @throws MullError `server_unreachable` for another piece than the one that was asked for */
function remoteBytes(response: HttpResponse, range: ByteRange): RemoteBytes {
  const { status, headers, body, url } = response;
  const length = wholeNumber(headers["content-length"]);
  if (status === 200) return { start: 0, total: length, body };
  const wrong = (what: string): never => {
    response.discard();
    throw unreachableFor("protocol", url, `asked for bytes from ${range.start} on, it ${what}`);
  };
  if (status !== 206) return wrong(`answers with status ${status}`);
  const content = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(headers["content-range"]?.trim() ?? "");
  if (content === null) return wrong("does not say which bytes it sends");
  const [first, last, total] = content.slice(1).map(wholeNumber);
  if (first !== range.start || last === undefined || last < first) return wrong("sends others");
  if (range.end !== undefined && last >= range.end) return wrong("sends more");
  if (length !== undefined && length !== last - first + 1) return wrong("sends another number");
  if (total !== undefined && last >= total) return wrong("sends more than there are");
  return { start: first, total, body };
}

function wholeNumber(text: string | undefined): number | undefined {
  const number = /^\d+$/.test(text ?? "") ? Number(text) : Number.NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}
