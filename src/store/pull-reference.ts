import { MullError } from "../spec/errors.ts";
import type { HttpClient } from "./http/http-client.ts";
import type { ModelStore, StoredModel } from "./model-store.ts";
import { pullModel } from "./pull/pull-model.ts";
import { type ModelReference, parseReference } from "./reference.ts";
import type { RemoteModel } from "./remote-model.ts";
import type { OnTransferProgress } from "./transfer-progress.ts";

export interface PullOptions {
  env: NodeJS.ProcessEnv;
  /** Speak plain HTTP with the registry, also where it is not on this machine. Default false. */
  insecure?: boolean;
  signal?: AbortSignal;
  onProgress?: OnTransferProgress;
  /** Told what there is to fetch, before the first byte of it. Throwing ends the pull. */
  beforeFetch?: (remote: RemoteModel) => void;
}

/**
 * Downloads what a reference names into the store; what is there already is not fetched again.
 *
 * @throws MullError `invalid_argument` for a path or a digest; `model_not_found`, `unauthorized`, `server_unreachable`,
 *   `digest_mismatch`, `insufficient_storage`, `aborted`
 */
export async function pullReference(
  text: string,
  store: ModelStore,
  options: PullOptions,
): Promise<StoredModel> {
  const { onProgress = () => {} } = options;
  return withRemote(text, store, options, (remote, signal) => {
    options.beforeFetch?.(remote);
    return pullModel(store, remote, { signal, onProgress });
  });
}

/** Looks up what a reference names, and keeps the connections while `use` works with it. */
export async function withRemote<T>(
  text: string,
  store: ModelStore,
  options: PullOptions,
  use: (remote: RemoteModel, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal = new AbortController().signal, onProgress = () => {} } = options;
  const reference = parseReference(text);
  const { createHttpClient } = await import("./http/create-http-client.ts");
  const client = createHttpClient({ env: options.env });
  try {
    onProgress({ status: "pulling manifest" });
    return await use(await findRemote(reference, text, client, store, { ...options, signal }), signal);
  } finally {
    await client.close();
  }
}

async function findRemote(
  reference: ModelReference,
  text: string,
  client: HttpClient,
  store: ModelStore,
  { env, insecure = false, signal }: PullOptions & { signal: AbortSignal },
): Promise<RemoteModel> {
  switch (reference.kind) {
    case "registry": {
      const { registryModel } = await import("./registry/registry-model.ts");
      return registryModel(reference, { client, env, insecure, signal });
    }
    case "hugging-face": {
      const { huggingFaceModel } = await import("./hugging-face/hugging-face-model.ts");
      return huggingFaceModel(reference, { client, env, store, signal });
    }
    case "url": {
      const { urlModel } = await import("./url-source.ts");
      return urlModel(reference, { client, env, store, signal });
    }
    case "path":
      throw new MullError(
        "invalid_argument",
        `'${text}' is a file on this machine: there is nothing to download.`,
        {
          hint: `Take it into the store with: mull import ${text}`,
        },
      );
    default:
      throw new MullError("invalid_argument", `'${text}' does not say where the model is.`, {
        hint: "Give its name.",
      });
  }
}
