import type { IncomingMessage } from "node:http";
import { MullError } from "../spec/errors.ts";
import { readLines } from "./read-lines.ts";
import { isRecord, notMull, responseError } from "./response-error.ts";
import { aborted, sendRequest } from "./send-request.ts";

/** Largest answer that is read as a whole, in bytes. Vectors of a large batch have a few MB. */
const MAXIMUM_BODY_BYTES = 256 * 1024 ** 2;

export interface CallOptions {
  method?: "GET" | "POST" | "DELETE";
  /** Sent as JSON; bytes are sent as they are. */
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** How long a connection may take to open. Default 10 s. */
  connectMs?: number;
}

/** Speaks JSON and NDJSON with one server. Holds no connection open between calls. */
export class ServerClient {
  readonly address: URL;
  readonly #apiKey: string | undefined;

  constructor(address: URL, apiKey?: string) {
    this.address = address;
    this.#apiKey = apiKey;
  }

  /**
   * One call with one answer.
   *
   * @param path under the server's address: "/api/ps"
   * @throws MullError what the server says; `server_unreachable`, `aborted`
   */
  async call(path: string, options: CallOptions = {}): Promise<unknown> {
    const response = await this.#open(path, options);
    return this.#parse(await this.#readText(response, options.signal));
  }

  /**
   * One call whose answer comes in lines of JSON. The server is not read faster than the caller takes lines; leaving
   * the loop closes the connection.
   *
   * @throws MullError what the server says; `server_unreachable` also when the connection breaks; `aborted`
   */
  async *lines(path: string, options: CallOptions = {}): AsyncGenerator<unknown, void, undefined> {
    const response = await this.#open(path, options);
    try {
      for await (const line of readLines(response)) {
        // A line that is here already is not wanted any more either.
        if (options.signal?.aborted === true) throw aborted(options.signal);
        if (line.trim() !== "") yield this.#parse(line);
      }
    } catch (error) {
      throw this.#broken(error, options.signal);
    } finally {
      response.destroy();
    }
  }

  async #open(path: string, options: CallOptions): Promise<IncomingMessage> {
    const { method = "GET", body, signal, connectMs } = options;
    const url = new URL(this.address);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
    const headers: Record<string, string> = { accept: "application/json, application/x-ndjson" };
    if (this.#apiKey !== undefined) headers["authorization"] = `Bearer ${this.#apiKey}`;
    let payload: string | Uint8Array | undefined;
    if (body instanceof Uint8Array) {
      headers["content-type"] = "application/octet-stream";
      payload = body;
    } else if (body !== undefined) {
      headers["content-type"] = "application/json";
      payload = JSON.stringify(body);
    }
    const response = await sendRequest(url, {
      method,
      headers,
      ...(payload === undefined ? {} : { body: payload }),
      ...(signal === undefined ? {} : { signal }),
      ...(connectMs === undefined ? {} : { connectMs }),
    });
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return response;
    throw responseError(statusCode, await this.#readText(response, signal), this.address.host);
  }

  async #readText(response: IncomingMessage, signal: AbortSignal | undefined): Promise<string> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        length += chunk.byteLength;
        if (length > MAXIMUM_BODY_BYTES) throw new RangeError("an answer of more than 256 MiB");
        chunks.push(chunk);
      }
    } catch (error) {
      throw this.#broken(error, signal);
    } finally {
      response.destroy();
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  /** What went wrong while an answer was read. */
  #broken(error: unknown, signal: AbortSignal | undefined): MullError {
    if (signal?.aborted === true) return aborted(signal);
    if (MullError.is(error)) return error;
    if (error instanceof RangeError) return notMull(this.address.host, `it sends ${error.message}`);
    return new MullError(
      "server_unreachable",
      `The connection to the server at ${this.address.host} broke.`,
      {
        hint: "It may have been stopped. What it had answered until then is all there is.",
        cause: error,
      },
    );
  }

  #parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch {
      throw notMull(this.address.host, "its answer is not JSON");
    }
  }
}

/**
 * Asks what answers at an address.
 *
 * @returns mull's version; undefined when nothing does within `timeoutMs`, or it is not mull's server
 * @throws MullError `unauthorized`, `forbidden`
 */
export async function probeServer(client: ServerClient, timeoutMs: number): Promise<string | undefined> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await client.call("/api/version", { signal });
    const version = isRecord(answer) ? answer["mull"] : undefined;
    return typeof version === "string" ? version : undefined;
  } catch (error) {
    const { code } = MullError.wrap(error);
    if (code === "unauthorized" || code === "forbidden") throw error;
    return undefined;
  }
}
