import type { Dispatcher, request } from "undici";
import { abortedError, throwIfAborted } from "../../media/abort.ts";
import { isLoopback } from "../../providers/server-address.ts";
import { MullError } from "../../spec/errors.ts";
import { packageVersion } from "../../spec/package-version.ts";
import { systemClock } from "./clock.ts";
import type { Clock, HttpClient, HttpRequest, HttpResponse } from "./http-client.ts";
import { nextHop } from "./next-hop.ts";
import { type ProxySettings, proxySettings } from "./proxy-settings.ts";
import { readResponse } from "./read-response.ts";
import { showUrl } from "./server-text.ts";
import { unreachable, unreachableFor } from "./unreachable.ts";

export interface HttpClientOptions {
  /** For the proxies: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, in small letters too. */
  env: NodeJS.ProcessEnv;
  /** Default "mull/<version>". */
  userAgent?: string;
  /** Default: the system's. */
  clock?: Partial<Clock>;
  /** Milliseconds; defaults: 15 s, 30 s, 60 s. */
  timeouts?: { connect?: number; headers?: number; wholeBody?: number };
}

const MOST_REDIRECTS = 10;

type OneRequest = Omit<HttpRequest, "body"> & { body: HttpRequest["body"] | undefined };

interface Connections {
  request: typeof request;
  direct: Dispatcher;
  proxied: Dispatcher;
}

/** @throws MullError `invalid_argument` for a variable that names no proxy */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { env, userAgent = `mull/${packageVersion()}` } = options;
  const timeouts = { connect: 15_000, headers: 30_000, wholeBody: 60_000, ...options.timeouts };
  const proxies = proxySettings(env);
  let connections: Promise<Connections> | undefined;

  async function send(request: HttpRequest): Promise<HttpResponse> {
    const start = addressOf(request);
    let { method = "GET", body } = request;
    let authorization = request.authorization;
    for (let url = start, hops = 0; ; hops++) {
      const response = await sendOnce(url, { ...request, method, body, authorization });
      const location = response.headers["location"];
      if (!isRedirect(response.status) || location === undefined) return response;
      const next = nextHop(url, location, request.allowPlainHttp === true);
      const leaves = next.origin !== start.origin;
      if (leaves && request.redirects === "same-origin") return { ...response, redirect: next };
      response.discard();
      if (hops === MOST_REDIRECTS) {
        throw unreachableFor("redirect", start, `it redirects more than ${MOST_REDIRECTS} times`);
      }
      // Not given back when a later hop returns: whoever stood between chose what is asked there.
      if (leaves) authorization = undefined;
      if (response.status === 303 || (response.status < 303 && method === "POST")) {
        method = method === "HEAD" ? "HEAD" : "GET";
        body = undefined;
      }
      url = next;
    }
  }

  async function sendOnce(url: URL, request: OneRequest): Promise<HttpResponse> {
    const { method = "GET", headers = {}, authorization, body, signal } = request;
    throwIfAborted(signal);
    connections ??= connect(proxies, timeouts.connect);
    const { request: dispatch, direct, proxied } = await connections;
    const answer = await dispatch(url, {
      // A registry on this machine is never behind a proxy.
      dispatcher: isLoopback(url) ? direct : proxied,
      method,
      headers: {
        "user-agent": userAgent,
        "accept-encoding": "identity",
        ...(body === undefined ? withoutBodyHeaders(headers) : headers),
        ...(authorization === undefined ? {} : { authorization }),
      },
      body: typeof body === "function" ? (body() as never) : (body ?? null),
      ...(signal === undefined ? {} : { signal }),
      headersTimeout: request.headersTimeoutMs ?? timeouts.headers,
      bodyTimeout: 0,
    }).catch((error: unknown) => {
      if (signal?.aborted === true) throw abortedError(signal);
      throw unreachable(error, url);
    });
    return readResponse(answer, { url, method, signal, wholeBodyMs: timeouts.wholeBody });
  }

  return {
    send,
    clock: { ...systemClock, ...options.clock },
    async close() {
      const { direct, proxied } = (await connections) ?? {};
      connections = undefined;
      await Promise.all([direct?.destroy(), proxied?.destroy()]);
    },
  };
}

/** undici is imported here: most commands never go online. */
async function connect(proxies: ProxySettings | undefined, timeout: number): Promise<Connections> {
  const { Agent, EnvHttpProxyAgent, request } = await import("undici");
  const direct = new Agent({ connect: { timeout } });
  const proxied =
    proxies === undefined
      ? direct
      : new EnvHttpProxyAgent({
          ...proxies,
          connect: { timeout },
          proxyTls: { timeout },
          requestTls: { timeout },
        });
  return { request, direct, proxied };
}

function addressOf({ url, allowPlainHttp }: HttpRequest): URL {
  const address = URL.canParse(String(url)) ? new URL(url) : undefined;
  if (address === undefined || !/^https?:$/.test(address.protocol)) {
    throw new MullError("invalid_argument", `'${String(url).slice(0, 200)}' is no http or https address.`);
  }
  if (address.protocol === "http:" && allowPlainHttp !== true && !isLoopback(address)) {
    throw new MullError("invalid_argument", `${showUrl(address)} is not encrypted.`, {
      hint: "Write https://, or allow it with --insecure.",
    });
  }
  return address;
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

function withoutBodyHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !/^content-(?:length|type|range)$/i.test(name)),
  );
}
