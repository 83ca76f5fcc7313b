import { isIP } from "node:net";
import { DEFAULT_PORT } from "../providers/server-address.ts";
import { MullError } from "../spec/errors.ts";

const SCHEME_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/**
 * Where to listen, as people write it, by the rules of `OLLAMA_HOST`: `host`, `host:port`, `:port`, `[::1]:port`,
 * `http://host:port`. What is missing is undefined; with a scheme the port is the scheme's.
 *
 * @param source what errors call it, such as "OLLAMA_HOST"
 * @throws MullError `invalid_argument`
 */
export function parseListenAddress(text: string, source: string): { host?: string; port?: number } {
  const trimmed = text.trim();
  const [, scheme, rest = ""] = /^(?:(https?):\/\/)?([^/]*)\/?$/i.exec(trimmed) ?? [];
  if (rest === "" && trimmed !== "") throw noAddress(text, source);
  const [host, digits] = splitPort(rest);
  const port = digits === undefined ? SCHEME_PORTS[scheme?.toLowerCase() ?? ""] : Number(digits);
  const isName = host === undefined || isIP(host) !== 0 || /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i.test(host);
  if (!isName || (port !== undefined && port > 65_535)) throw noAddress(text, source);
  return { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
}

/** The rest of an address after its scheme, as host and digits of the port. */
function splitPort(rest: string): [host: string | undefined, digits: string | undefined] {
  if (isIP(rest) === 6) return [rest, undefined];
  const [, bracketed, name, digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(rest) ?? [];
  if (bracketed === undefined && name === undefined) return [rest, undefined];
  const host = bracketed ?? name;
  return [host === "" ? undefined : host, digits];
}

function noAddress(text: string, source: string): MullError {
  return new MullError("invalid_argument", `${source} is "${text}", which is no address to listen on.`, {
    hint: `The form is host:port, such as 127.0.0.1:${DEFAULT_PORT}.`,
  });
}

export const DEFAULT_ADDRESS: { readonly host: string; readonly port: number } = {
  host: "127.0.0.1",
  port: DEFAULT_PORT,
};
