import { isIPv4, isIPv6 } from "node:net";
import { MullError } from "../spec/errors.ts";

/** The port of mull's server, and of Ollama's. */
export const DEFAULT_PORT = 11_434;

/** A server that the environment names, or the default. */
export interface ConfiguredServer {
  address: URL;
  /** What named it; undefined: nothing did. */
  from: "MULL_HOST" | "OLLAMA_HOST" | undefined;
}

/**
 * The address of a server as people write it, by the rules of `OLLAMA_HOST`: `host`, `host:port`, `:port`,
 * `http://host`, `https://host/path`. Without a scheme the port is 11434, else the scheme's own. Addresses that mean
 * "every interface" to a server become loopback.
 *
 * @param source what errors call it, such as "MULL_HOST"
 * @throws MullError `invalid_argument`
 */
export function parseServerAddress(text: string, source = "The address of the server"): URL {
  const [, scheme, rest = ""] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(text.trim()) ?? [];
  const slash = rest.indexOf("/");
  const authority = slash === -1 ? rest : rest.slice(0, slash);
  const path = slash === -1 ? "" : rest.slice(slash);
  let host = isIPv6(authority) ? `[${authority}]` : authority;
  if (host === "" || host.startsWith(":")) host = `127.0.0.1${host}`;
  if (scheme === undefined && !/:\d+$/.test(host)) host += `:${DEFAULT_PORT}`;
  const url = `${scheme ?? "http"}://${host}${path}`;
  const address = URL.canParse(url) ? new URL(url) : undefined;
  const usable =
    (address?.protocol === "http:" || address?.protocol === "https:") &&
    address.username === "" &&
    address.password === "" &&
    address.search === "" &&
    address.hash === "";
  if (address === undefined || !usable) {
    throw new MullError("invalid_argument", `${source} is "${text}", which is no address of a server.`, {
      hint: "The form is host:port or http://host:port, such as 127.0.0.1:11434.",
    });
  }
  if (address.hostname === "0.0.0.0") address.hostname = "127.0.0.1";
  if (address.hostname === "[::]") address.hostname = "[::1]";
  return address;
}

/** The server that `MULL_HOST`, else `OLLAMA_HOST`, names; else the default one on this machine. */
export function configuredServer(env: NodeJS.ProcessEnv): ConfiguredServer {
  for (const from of ["MULL_HOST", "OLLAMA_HOST"] as const) {
    const text = unquoted(env[from] ?? "");
    if (text !== "") return { address: parseServerAddress(text, from), from };
  }
  return { address: parseServerAddress(""), from: undefined };
}

/** The value of a variable: service files of Ollama quote theirs, and Ollama takes the quotes off. */
export function unquoted(text: string): string {
  return text
    .trim()
    .replace(/^(["'])(.*)\1$/, "$2")
    .trim();
}

/** Whether only programs of this machine can be at that address. */
export function isLoopback({ hostname }: URL): boolean {
  const isName = hostname === "localhost" || hostname.endsWith(".localhost");
  return isName || hostname === "[::1]" || (isIPv4(hostname) && hostname.startsWith("127."));
}
