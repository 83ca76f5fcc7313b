import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { type IncomingMessage, request } from "node:http";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { MullError } from "../spec/errors.ts";
import { abortedError } from "./abort.ts";
import { isPublicAddress } from "./public-address.ts";
import { sniff } from "./sniff.ts";

const MOST_REDIRECTS = 3;
const LIMIT_BYTES = 25 * 1024 ** 2;
const TIME_LIMIT_MS = 10_000;
const HTTPS_PORT = 443;

/** The network as `fetchMedia` uses it; a test puts its own in place. */
export interface Network {
  resolve(hostname: string): Promise<readonly LookupAddress[]>;
  /** A connection to exactly this address, with TLS for the URL's host. */
  connect(address: LookupAddress, url: URL): Duplex;
}

export interface FetchMediaOptions {
  signal?: AbortSignal;
  /** Default 25 MiB. */
  limitBytes?: number;
  /** For everything, redirects included. Default 10 s. */
  timeLimitMs?: number;
  network?: Network;
}

const INTERNET: Network = {
  resolve: (hostname) => lookup(hostname, { all: true, verbatim: true }),
  connect: ({ address }, { hostname }) =>
    connectTls({
      host: address,
      port: HTTPS_PORT,
      ALPNProtocols: ["http/1.1"],
      // An address is checked against the certificate as the host itself.
      ...(isIP(bare(hostname)) === 0 ? { servername: hostname } : {}),
    }),
};

/**
 * Fetches a picture that a stranger named by URL, without lending that stranger this machine's place in the network.
 *
 * Only https on port 443, no credentials. A name is resolved once; if any of its addresses is not public it is refused,
 * else the connection goes to the address that was checked, so a second answer of the name server changes nothing. The
 * same for each of at most three redirects. No cookies, no compression, and no more bytes or time than the limits.
 *
 * @param name what errors call the picture
 * @returns the encoded file, which is a picture by its first bytes: (bytes) uint8
 * @throws MullError `media_not_found`, always in the same words: what went wrong would tell of the inside. `aborted`
 */
export async function fetchMedia(
  url: string,
  name: string,
  options: FetchMediaOptions = {},
): Promise<Uint8Array> {
  const { signal, limitBytes = LIMIT_BYTES, timeLimitMs = TIME_LIMIT_MS, network = INTERNET } = options;
  const end = new AbortController();
  const onAbort = (): void => end.abort(signal?.reason);
  const timer = setTimeout(() => end.abort(new Error("time limit")), timeLimitMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  try {
    const bytes = await follow(url, network, limitBytes, end.signal);
    if (sniff(bytes).kind !== "picture") throw new Error("not a picture");
    return bytes;
  } catch (error) {
    if (signal?.aborted === true) throw abortedError(signal);
    throw new MullError("media_not_found", `${name} could not be fetched.`, {
      hint: "Give the https: URL of a public picture of at most 25 MiB, or send the picture itself.",
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    // Whatever is still open: nobody reads it.
    end.abort();
  }
}

async function follow(
  first: string,
  network: Network,
  limitBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  let url = new URL(first);
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    const address = await checkedAddress(url, network, signal);
    const response = await get(url, address, network, signal);
    const { location } = response.headers;
    const status = response.statusCode ?? 0;
    if (status < 300 || status > 399 || location === undefined) return readPicture(response, limitBytes);
    response.destroy();
    url = new URL(location, url);
  }
  throw new Error("too many redirects");
}

/** The address to connect to. @throws Error if the URL may not be fetched */
async function checkedAddress(url: URL, network: Network, signal: AbortSignal): Promise<LookupAddress> {
  if (url.protocol !== "https:" || url.port !== "") throw new Error("not https on its own port");
  if (url.username !== "" || url.password !== "") throw new Error("credentials in the URL");
  // URL has brought 127.1, 0x7f000001 and the like to their usual form.
  const host = bare(url.hostname);
  const family = isIP(host);
  const addresses =
    family === 0 ? await orAborted(network.resolve(host), signal) : [{ address: host, family }];
  const [address] = addresses;
  if (address === undefined) throw new Error("no address");
  if (!addresses.every((each) => isPublicAddress(each.address))) throw new Error("an address is not public");
  return address;
}

function get(
  url: URL,
  address: LookupAddress,
  network: Network,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      method: "GET",
      path: url.pathname + url.search,
      setHost: false,
      headers: { Host: url.host, Accept: "image/*", "Accept-Encoding": "identity", "User-Agent": "mull" },
      createConnection: () => network.connect(address, url),
      signal,
    });
    outgoing.once("response", resolve).on("error", reject).end();
  });
}

async function readPicture(response: IncomingMessage, limitBytes: number): Promise<Uint8Array> {
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
  if ((response.headers["content-encoding"] ?? "identity") !== "identity") throw new Error("compressed");
  if (Number(response.headers["content-length"] ?? 0) > limitBytes) throw new Error("too large");
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limitBytes) throw new Error("too large");
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks, length));
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject);
  });
}

/** `[::1]` → `::1` */
function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}
