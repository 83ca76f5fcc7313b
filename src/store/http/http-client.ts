/** The one way from the store to other machines. */
export interface HttpClient {
  /**
   * One request, without retries. Redirects are followed by rule (at most 10): no authorization beyond the origin that
   * it is for, never from https to http, never from elsewhere into this machine. Nothing is decompressed: an answer
   * with a Content-Encoding is refused. Any status is an answer: `requireOk` makes errors of them.
   *
   * @throws MullError `server_unreachable` (retryable; `details.reason`, see `UnreachableReason`), `aborted`,
   *   `invalid_argument` (an address that is no http(s) address, or plain http that nobody allowed)
   */
  send(request: HttpRequest): Promise<HttpResponse>;
  readonly clock: Clock;
  /** Ends every connection; running requests fail. */
  close(): Promise<void>;
}

export interface HttpRequest {
  /** Default "GET". */
  method?: "GET" | "HEAD" | "POST" | "PATCH" | "PUT";
  url: string | URL;
  /** Without credentials: these go wherever a redirect leads. */
  headers?: Readonly<Record<string, string>>;
  /** The value of `Authorization`; sent to the origin of `url` and nowhere else. */
  authorization?: string | undefined;
  /** A function is called once for every try (redirects repeat a body); give `content-length` with it. */
  body?: Uint8Array | (() => AsyncIterable<Uint8Array>);
  signal?: AbortSignal | undefined;
  /** Plain http to hosts beyond this machine: only for who asked for it. Default false. */
  allowPlainHttp?: boolean;
  /**
   * - "follow" (default): to the end
   * - "same-origin": stops at the answer that leads to another origin; `redirect` says where to
   */
  redirects?: "follow" | "same-origin";
  /** How long the server may be silent before its answer begins. Default 30 s. */
  headersTimeoutMs?: number;
}

export interface HttpResponse {
  status: number;
  /** Names in small letters; of several values of one name, the first. */
  headers: Readonly<Record<string, string>>;
  /** Where the answer came from, after redirects. */
  url: URL;
  /** With `redirects: "same-origin"`: where this answer leads. It passed the rules for redirects. */
  redirect: URL | undefined;
  /** Chunks of (n,) uint8; once. Leaving the loop ends the connection. No timeout: stalls are the reader's matter. */
  body: AsyncIterable<Uint8Array>;
  /**
   * The whole body. At most `limit` bytes (default 4 MiB) within a minute.
   * @throws MullError `server_unreachable`
   */
  bytes: (limit?: number) => Promise<Uint8Array>;
  /** The body does not matter: frees the connection. */
  discard: () => void;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** @throws MullError `aborted` */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}
