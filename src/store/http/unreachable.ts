import { MullError } from "../../spec/errors.ts";
import { serverText, showUrl } from "./server-text.ts";

/** Why a request had no answer; `details.reason` of a `server_unreachable`. */
export type UnreachableReason =
  | "refused"
  | "name"
  | "network"
  | "timeout"
  | "reset"
  | "certificate"
  | "tls"
  | "proxy"
  | "protocol"
  | "redirect";

interface Cause {
  reason: UnreachableReason;
  words: string;
  hint?: string;
}

const CERTIFICATE_HINT =
  "If a certificate authority of your own signs for it, set NODE_EXTRA_CA_CERTS to its certificate.";
const NETWORK_HINT = "Check the network, and HTTPS_PROXY if there is a proxy between.";

const CAUSES: Readonly<Record<string, Cause>> = {
  ECONNREFUSED: { reason: "refused", words: "it refuses the connection" },
  ENOTFOUND: { reason: "name", words: "there is no host of that name", hint: NETWORK_HINT },
  EAI_AGAIN: { reason: "name", words: "the name could not be looked up", hint: NETWORK_HINT },
  ENETUNREACH: { reason: "network", words: "there is no way to that network", hint: NETWORK_HINT },
  EHOSTUNREACH: { reason: "network", words: "there is no way to that host", hint: NETWORK_HINT },
  ETIMEDOUT: { reason: "timeout", words: "the connection timed out", hint: NETWORK_HINT },
  UND_ERR_CONNECT_TIMEOUT: {
    reason: "timeout",
    words: "no connection came about in time",
    hint: NETWORK_HINT,
  },
  UND_ERR_HEADERS_TIMEOUT: { reason: "timeout", words: "it took the request and did not answer in time" },
  UND_ERR_BODY_TIMEOUT: { reason: "timeout", words: "its answer came to a halt" },
  ECONNRESET: { reason: "reset", words: "the connection was reset" },
  EPIPE: { reason: "reset", words: "the connection was closed while the request was sent" },
  UND_ERR_SOCKET: { reason: "reset", words: "the connection was closed before the answer was whole" },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: {
    reason: "reset",
    words: "the answer has not the length that it announced",
  },
  EPROTO: { reason: "tls", words: "it does not speak TLS", hint: "A registry without TLS needs http://." },
  CERT_HAS_EXPIRED: { reason: "certificate", words: "its TLS certificate has expired" },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    reason: "certificate",
    words: "its TLS certificate is for another host",
  },
  UND_ERR_PRX_TLS: { reason: "proxy", words: "the TLS certificate of the proxy is for another host" },
  UND_ERR_HEADERS_OVERFLOW: { reason: "protocol", words: "the headers of its answer are too long" },
};

/** Of anything that went wrong with a connection; errors of ours stay as they are. */
export function unreachable(error: unknown, url: URL): MullError {
  if (MullError.is(error)) return error;
  const { reason, words, hint } = causeOf(error);
  return unreachableFor(reason, url, words, hint, error);
}

/** @param words what is the matter, as the rest of a sentence */
export function unreachableFor(
  reason: UnreachableReason,
  url: URL,
  words: string,
  hint?: string,
  cause?: unknown,
): MullError {
  return new MullError("server_unreachable", `${showUrl(url)} could not be used: ${words}.`, {
    ...(hint === undefined ? {} : { hint }),
    details: { reason },
    cause,
  });
}

function causeOf(error: unknown): Cause {
  // One host may have several addresses: what the first one said stands for all.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  const { code = "", message = "", cause } = asError(first);
  const proxy = /^Proxy response \((\d+)\)/.exec(message)?.[1];
  if (proxy !== undefined) return ofProxy(proxy);
  const known = CAUSES[code];
  if (known !== undefined) return known;
  if (/CERT|SIGNATURE|ISSUER/.test(code)) {
    const words = `its TLS certificate is not trusted (${code.toLowerCase().replaceAll("_", " ")})`;
    return { reason: "certificate", words, hint: CERTIFICATE_HINT };
  }
  if (code.startsWith("ERR_SSL")) return CAUSES["EPROTO"] as Cause;
  if (code.startsWith("HPE_")) return { reason: "protocol", words: "its answer is no HTTP" };
  if (cause !== undefined && cause !== first) return causeOf(cause);
  return { reason: "network", words: serverText(message) || "the connection failed" };
}

function ofProxy(status: string): Cause {
  return {
    reason: "proxy",
    words: `the proxy answers with status ${status}`,
    hint:
      status === "407"
        ? "Write the proxy as http://user:password@host:port."
        : "HTTPS_PROXY and HTTP_PROXY name the proxy, NO_PROXY the hosts that need none.",
  };
}

function asError(value: unknown): { code?: string; message?: string; cause?: unknown } {
  return value instanceof Error ? value : { message: String(value) };
}
