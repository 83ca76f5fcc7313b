import { invalidModel } from "../gguf/invalid-model.ts";
import { describeFileKind } from "../gguf/file-kind.ts";
import { parseSplitName, splitName } from "../gguf/split-names.ts";
import { MullError } from "../spec/errors.ts";
import { manifestOfGgufs } from "./gguf-manifest.ts";
import { endpointOf, hubOf } from "./hugging-face/hub.ts";
import type { HttpClient, HttpResponse } from "./http/http-client.ts";
import { openRanges } from "./http/open-ranges.ts";
import { requireOk } from "./http/response-error.ts";
import { serverText, showUrl } from "./http/server-text.ts";
import { LAYER_TYPE } from "./manifest.ts";
import type { ModelStore } from "./model-store.ts";
import type { ModelReference } from "./reference.ts";
import type { RemoteBlob, RemoteModel } from "./remote-model.ts";

export interface UrlModelOptions {
  client: HttpClient;
  /** HF_ENDPOINT and HF_TOKEN, for addresses at Hugging Face. */
  env: NodeJS.ProcessEnv;
  /** Where the blobs will be when the manifest is made. */
  store: Pick<ModelStore, "paths" | "writeBlob">;
  signal?: AbortSignal | undefined;
  /** Default: whether the address itself begins with http://. */
  allowPlainHttp?: boolean;
}

const HEAD_BYTES = 64;
const MOST_PARTS = 1000;
const AT_ONCE = 8;
const CREDENTIALS_HINT =
  "mull has no credentials for this server. Is the address complete, with its signature?";

/**
 * A GGUF at an address, with all parts if it is split. Each is looked at first: its size, what tells it from another
 * version, and whether it begins as a GGUF does.
 *
 * @throws MullError `invalid_model` (something else is there), `model_not_found`, `unauthorized`, `server_unreachable`,
 *   `aborted`
 */
export async function urlModel(
  reference: Extract<ModelReference, { kind: "url" }>,
  options: UrlModelOptions,
): Promise<RemoteModel> {
  const { client, env, store, signal } = options;
  const isHub = new URL(reference.url).origin === endpointOf(env).origin;
  const first = fileAddress(new URL(reference.url), isHub);
  const allowPlainHttp = options.allowPlainHttp ?? first.protocol === "http:";
  const authorization = isHub ? (await hubOf(env)).authorization : undefined;
  const blobs: RemoteBlob[] = [];
  const urls = partsOf(first);
  for (let at = 0; at < urls.length; at += AT_ONCE) {
    const some = urls.slice(at, at + AT_ONCE);
    blobs.push(
      ...(await Promise.all(
        some.map((url) => lookAt(url, { client, authorization, signal, allowPlainHttp })),
      )),
    );
  }
  return {
    name: reference.name,
    blobs,
    manifest: (fetched) =>
      manifestOfGgufs(
        store,
        [fetched.map((blob, part) => ({ ...blob, source: withoutSecrets(urls[part] ?? first) }))],
        [],
        signal,
      ),
  };
}

interface LookOptions {
  client: HttpClient;
  authorization: string | undefined;
  signal: AbortSignal | undefined;
  allowPlainHttp: boolean;
}

async function lookAt(url: URL, options: LookOptions): Promise<RemoteBlob> {
  const { client, authorization, signal, allowPlainHttp } = options;
  const errors = { subject: `The file ${showUrl(url)}`, credentialsHint: CREDENTIALS_HINT };
  const range = `bytes=0-${HEAD_BYTES - 1}`;
  const response = await client.send({ url, headers: { range }, authorization, signal, allowPlainHttp });
  // No range of an empty file can be had.
  const isEmpty = response.status === 416;
  if (isEmpty) response.discard();
  else await requireOk(response, client, errors);
  const head = isEmpty ? Buffer.alloc(0) : await firstBytes(response, HEAD_BYTES);
  if (head.toString("latin1", 0, 4) !== "GGUF") {
    const { kind, hint } = describeFileKind(head);
    throw invalidModel(showUrl(url), head.length === 0 ? "the file is empty" : `this is ${kind}`, hint);
  }
  const version = versionOf(response);
  const same = sameVersion(client, version, showUrl(url));
  const open = openRanges({
    client: same,
    origin: url.origin,
    allowPlainHttp,
    ...errors,
    request: (headers, signal) => same.send({ url, headers, authorization, signal, allowPlainHttp }),
  });
  return {
    label: decodeName(url),
    digest: undefined,
    size: sizeOf(response),
    key: version === undefined ? undefined : `${withoutSecrets(url)}#${version}`,
    mediaType: `${LAYER_TYPE}model`,
    open,
  };
}

/** The page about a file at Hugging Face to the file itself. */
function fileAddress(url: URL, isHub: boolean): URL {
  const address = new URL(url);
  address.hash = "";
  if (isHub) {
    address.pathname = address.pathname.replace(/^(\/[^/]+\/[^/]+)\/blob\//, "$1/resolve/");
  }
  return address;
}

function partsOf(url: URL): readonly URL[] {
  const slash = url.pathname.lastIndexOf("/") + 1;
  const split = parseSplitName(url.pathname.slice(slash));
  if (split === undefined || split.count < 2) return [url];
  if (split.count > MOST_PARTS) {
    throw new MullError("invalid_argument", `${showUrl(url)} would have ${split.count} parts.`, {
      hint: `A model may have ${MOST_PARTS}.`,
    });
  }
  const folder = url.pathname.slice(0, slash);
  return Array.from({ length: split.count }, (_, index) => {
    const part = new URL(url);
    part.pathname = folder + splitName(split.prefix, index + 1, split.count);
    return part;
  });
}

/** What tells this content from another at the same address. A weak ETag does not promise the same bytes. */
function versionOf({ headers }: HttpResponse): string | undefined {
  const etag = headers["etag"];
  return etag !== undefined && !etag.startsWith("W/") ? etag : headers["last-modified"];
}

/** Nobody says which bytes are right, so pieces of two versions are told apart here or never. */
function sameVersion(client: HttpClient, version: string | undefined, where: string): HttpClient {
  return {
    clock: client.clock,
    close: () => client.close(),
    async send(request) {
      const response = await client.send(request);
      const now = response.status < 300 ? versionOf(response) : version;
      if (now === version) return response;
      response.discard();
      throw invalidModel(where, "the file changed while it was downloaded", "Pull it again.");
    },
  };
}

function sizeOf({ status, headers }: HttpResponse): number | undefined {
  const text = status === 206 ? headers["content-range"]?.split("/")[1] : headers["content-length"];
  const size = /^\d+$/.test(text ?? "") ? Number(text) : Number.NaN;
  return Number.isSafeInteger(size) ? size : undefined;
}

async function firstBytes({ body }: HttpResponse, length: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= length) break;
  }
  return Buffer.concat(chunks).subarray(0, length);
}

/** Queries of addresses are mostly signatures: none is stored. */
function withoutSecrets(url: URL): string {
  return url.origin + url.pathname;
}

function decodeName({ pathname }: URL): string {
  const name = pathname.slice(pathname.lastIndexOf("/") + 1);
  try {
    return serverText(decodeURIComponent(name));
  } catch {
    return name;
  }
}
