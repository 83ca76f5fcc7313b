import type { Dispatcher } from "undici";
import { abortedError } from "../../media/abort.ts";
import type { HttpResponse } from "./http-client.ts";
import { unreachable, unreachableFor } from "./unreachable.ts";

const MOST_BYTES = 4 * 1024 * 1024;
/** Of a body that does not matter, this much is read to keep the connection. */
const WORTH_READING = 64 * 1024;

export interface ResponseContext {
  url: URL;
  method: string;
  signal: AbortSignal | undefined;
  wholeBodyMs: number;
}

/** @throws MullError `server_unreachable` for an answer that would have to be decompressed */
export function readResponse(answer: Dispatcher.ResponseData, context: ResponseContext): HttpResponse {
  const { url, method, signal } = context;
  const { statusCode: status, body } = answer;
  const headers = firstValues(answer.headers);
  // A connection may break before anybody reads the body; whoever reads later is told then.
  body.on("error", () => {});

  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* body as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (signal?.aborted === true) throw abortedError(signal);
      throw unreachable(error, url);
    }
  }

  const discard = (): void => {
    void body.dump({ limit: WORTH_READING, signal: AbortSignal.timeout(5000) }).catch(() => {});
  };

  const encoding = headers["content-encoding"]?.trim().toLowerCase() ?? "";
  if (method !== "HEAD" && status < 300 && encoding !== "" && encoding !== "identity") {
    body.destroy();
    throw unreachableFor("protocol", url, "its answer is compressed, which nobody asked for");
  }

  return {
    status,
    headers,
    url,
    redirect: undefined,
    body: { [Symbol.asyncIterator]: chunks },
    discard,
    async bytes(limit = MOST_BYTES) {
      const announced = Number(headers["content-length"] ?? 0);
      const tooLong = (): Error => unreachableFor("protocol", url, `its answer has more than ${limit} bytes`);
      if (announced > limit && method !== "HEAD") {
        body.destroy();
        throw tooLong();
      }
      const late = unreachableFor("timeout", url, "its answer did not end in time");
      const timer = setTimeout(() => body.destroy(late), context.wholeBodyMs);
      const parts: Uint8Array[] = [];
      let length = 0;
      try {
        for await (const part of body as AsyncIterable<Uint8Array>) {
          length += part.length;
          if (length > limit) throw tooLong();
          parts.push(part);
        }
      } catch (error) {
        if (signal?.aborted === true) throw abortedError(signal);
        throw unreachable(error, url);
      } finally {
        clearTimeout(timer);
      }
      return Buffer.concat(parts);
    },
  };
}

function firstValues(headers: Dispatcher.ResponseData["headers"]): Record<string, string> {
  const values: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    const all = Array.isArray(value) ? value : [value ?? ""];
    // Challenges are a list, in one header or in several.
    values.push([name.toLowerCase(), name === "www-authenticate" ? all.join(", ") : (all[0] ?? "")]);
  }
  return Object.fromEntries(values);
}
