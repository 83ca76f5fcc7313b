import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { MullError } from "../../spec/errors.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerEnvironment } from "../server-context.ts";
import type { ServerOptions } from "../server-options.ts";

const LOOPBACK: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];
const ANY_ADDRESS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/**
 * Refuses requests for host names that are not this server's, on every bind: a web page whose own name was made to
 * point here (DNS rebinding) names itself in the Host header.
 */
export function checkHost(options: ServerOptions): MiddlewareHandler<ServerEnvironment> {
  const known = new Set([...LOOPBACK, ...options.allowedHosts.map((host) => host.toLowerCase())]);
  if (!ANY_ADDRESS.has(options.host)) known.add(bracketed(options.host.toLowerCase()));
  return async (c, next) => {
    for (const host of hostsOf(c)) {
      const name = hostName(host);
      if (name !== undefined && (known.has(name) || name === localAddress(c, options))) continue;
      throw new MullError("forbidden", "This server does not answer under that host name.", {
        hint: "Use localhost, or start the server with --allow-host NAME.",
      });
    }
    await next();
  };
}

/** Every Host header, and the host of an absolute request target (`GET http://name/ HTTP/1.1`): all must be known. */
function hostsOf(c: RequestContext): string[] {
  const target = new URL(c.req.url).host;
  const header = c.req.header("host");
  // Of several, Node's `headers` has only the first.
  const headers = c.env?.incoming?.headersDistinct["host"] ?? (header === undefined ? [] : [header]);
  return [...headers, target];
}

/** "Name:1234" → "name", "[::1]:1" → "[::1]"; undefined for what is no host at all. */
export function hostName(host: string): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/.exec(host.toLowerCase())?.[1];
}

/** Bound to every address, a server is also known by the one that the client has reached. */
function localAddress(c: RequestContext, options: ServerOptions): string | undefined {
  if (!ANY_ADDRESS.has(options.host)) return undefined;
  const address = c.env?.incoming?.socket.localAddress?.replace(/^::ffff:(?=\d+\.)/, "");
  return address === undefined ? undefined : bracketed(address);
}

function bracketed(address: string): string {
  return isIP(address) === 6 ? `[${address}]` : address;
}
