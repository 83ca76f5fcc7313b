import { request } from "undici";
import { MullError } from "../../src/spec/errors.ts";
import { digestOf } from "../../src/store/digest.ts";
import { encodeManifest, layer, type Manifest } from "../../src/store/manifest.ts";
import { modelName } from "../../src/store/model-name.ts";
import type { RemoteBlob, RemoteModel } from "../../src/store/remote-model.ts";

/** A blob of a `RangeServer`. */
export function remoteBlob(url: string, bytes: Uint8Array, changes: Partial<RemoteBlob> = {}): RemoteBlob {
  const digest = digestOf(bytes);
  return {
    label: digest,
    digest,
    size: bytes.length,
    key: undefined,
    mediaType: "application/vnd.ollama.image.model",
    open: openWith(url),
    ...changes,
  };
}

/** The plainest client that does what `RemoteBlob.open` promises. */
export function openWith(url: string): RemoteBlob["open"] {
  return async ({ start, end }, signal) => {
    const whole = start === 0 && end === undefined;
    const headers = whole ? {} : { range: `bytes=${start}-${end === undefined ? "" : end - 1}` };
    const answer = await request(url, { headers, signal, headersTimeout: 0, bodyTimeout: 0 });
    if (answer.statusCode >= 300) {
      await answer.body.dump();
      throw statusError(answer.statusCode, answer.headers["retry-after"]);
    }
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(answer.headers["content-range"]));
    const length = answer.headers["content-length"];
    const total = range === null ? length : range[2] === "*" ? undefined : range[2];
    return {
      start: Number(range?.[1] ?? 0),
      total: total === undefined ? undefined : Number(total),
      body: answer.body,
    };
  };
}

function statusError(status: number, retryAfter: unknown): MullError {
  const codes = { 401: "unauthorized", 404: "model_not_found", 429: "rate_limited" } as const;
  const code = codes[status as keyof typeof codes] ?? "server_unreachable";
  const details = retryAfter === undefined ? {} : { retryAfterSeconds: Number(retryAfter) };
  return new MullError(code, `The server answers with status ${status}.`, { details });
}

/** A model of these blobs; the first is the model layer, the last the config. */
export function remoteModel(blobs: readonly RemoteBlob[], model = "test"): RemoteModel {
  return {
    name: modelName({ host: "registry.test", namespace: "library", model, tag: "latest" }),
    blobs,
    manifest: async (fetched) => {
      const layers = fetched.slice(0, -1).map(({ digest, size }) => layer("model", digest, size));
      const { digest, size } = fetched.at(-1) as (typeof fetched)[number];
      const manifest: Manifest = {
        config: { mediaType: "application/vnd.docker.container.image.v1+json", digest, size },
        layers,
      };
      return { manifest, bytes: encodeManifest(manifest) };
    },
  };
}
