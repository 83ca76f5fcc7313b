import { MullError } from "../spec/errors.ts";
import { dialectOf, errorEvent } from "./dialect.ts";
import { logError, whatHappened } from "./middleware/send-error.ts";
import { publicError } from "./public-error.ts";
import type { RequestContext } from "./route-module.ts";
import type { ServerContext } from "./server-context.ts";

/** One event of a stream of server-sent events. */
export interface ServerSentEvent {
  /** `event:` line. Default: none. */
  event?: string;
  /** A string is sent as it is ("[DONE]"), everything else as JSON. */
  data: unknown;
}

export interface StreamOptions<Item> {
  /**
   * Items that tell of an error after the stream has begun, for a dialect that has its own way; the error is public
   * already. Default: the path's dialect's error line or event.
   */
  onError?: (error: MullError) => Iterable<Item>;
  headers?: Record<string, string>;
}

/** Streams items as JSON, one per line. See `streamResponse`. */
export function streamNdjson(
  c: RequestContext,
  context: ServerContext,
  items: AsyncIterable<unknown>,
  options: StreamOptions<unknown> = {},
): Promise<Response> {
  return streamResponse(c, context, items, (item) => `${JSON.stringify(item)}\n`, {
    ...options,
    headers: { "Content-Type": "application/x-ndjson", ...options.headers },
  });
}

/** Streams server-sent events. See `streamResponse`. */
export function streamEvents(
  c: RequestContext,
  context: ServerContext,
  events: AsyncIterable<ServerSentEvent>,
  options: StreamOptions<ServerSentEvent> = {},
): Promise<Response> {
  const print = ({ event, data }: ServerSentEvent): string => {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    return `${event === undefined ? "" : `event: ${event}\n`}data: ${text.replaceAll("\n", "\ndata: ")}\n\n`;
  };
  return streamResponse(c, context, events, print, {
    ...options,
    // X-Accel-Buffering: nginx would collect the events.
    headers: {
      "Content-Type": "text/event-stream; charset=utf-8",
      "Cache-Control": "no-cache",
      "X-Accel-Buffering": "no",
      ...options.headers,
    },
  });
}

/**
 * A response that grows as its source yields.
 *
 * It resolves with the first item, so that what fails before is thrown and answered with its own status; what fails
 * later ends the stream with the dialect's error. An item is asked for when the socket has room for it. The source is
 * left (`return()`) when the client goes away or the request's signal fires; a source that does not react does not
 * keep the response open.
 *
 * @throws whatever the source throws before its first item
 */
async function streamResponse<Item>(
  c: RequestContext,
  context: ServerContext,
  source: AsyncIterable<Item>,
  print: (item: Item) => string,
  { onError, headers }: StreamOptions<Item>,
): Promise<Response> {
  const { signal } = c.var;
  const iterator = source[Symbol.asyncIterator]();
  /** What comes next, or the signal's reason if that is sooner. */
  const next = abortable(iterator, signal);
  const printError = (thrown: unknown): string => {
    const error = whatHappened(thrown, signal);
    logError(c, context, error);
    const shown = publicError(error, context, c.var);
    return onError === undefined
      ? errorEvent(shown, dialectOf(c.req.path))
      : Array.from(onError(shown), print).join("");
  };

  let pending: IteratorResult<Item, unknown> | undefined = await next();
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        let text: string | undefined;
        try {
          const { done, value } = pending ?? (await next());
          pending = undefined;
          if (done !== true) return controller.enqueue(encoder.encode(print(value)));
        } catch (error) {
          text = printError(error);
        }
        if (text !== undefined) controller.enqueue(encoder.encode(text));
        controller.close();
      },
      cancel: () => void iterator.return?.().catch(() => {}),
    },
    { highWaterMark: 0 },
  );
  return c.body(body, 200, {
    ...headers,
    // Said outright, it spares the adapter to wait whether the stream is short enough for a Content-Length.
    ...(c.env?.incoming?.httpVersion === "1.1" ? { "Transfer-Encoding": "chunked" } : {}),
  });
}

/** Asks an iterator for its next item; when the signal fires first, rejects and leaves the iterator. */
function abortable<Item>(
  iterator: AsyncIterator<Item>,
  signal: AbortSignal,
): () => Promise<IteratorResult<Item, unknown>> {
  let abort: (() => void) | undefined;
  signal.addEventListener("abort", () => abort?.(), { once: true });
  return () =>
    new Promise((resolve, reject) => {
      abort = () => {
        void iterator.return?.().catch(() => {});
        reject(MullError.wrap(signal.reason));
      };
      if (signal.aborted) return abort();
      iterator.next().then(resolve, reject);
    });
}
