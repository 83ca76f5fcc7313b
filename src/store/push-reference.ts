import { MullError } from "../spec/errors.ts";
import { formatModelName } from "./model-name.ts";
import type { ModelStore } from "./model-store.ts";
import type { PullOptions } from "./pull-reference.ts";
import { parseReference } from "./reference.ts";

/**
 * Uploads a model of the store to the registry that its name tells; blobs that are there are not sent again.
 *
 * @throws MullError `invalid_argument` for what is no registry's name; `model_not_found`, `invalid_model`,
 *   `unauthorized`, `server_unreachable`, `aborted`
 */
export async function pushReference(
  text: string,
  store: ModelStore,
  {
    env,
    insecure = false,
    signal = new AbortController().signal,
    onProgress = () => {},
  }: Omit<PullOptions, "beforeFetch">,
): Promise<void> {
  const reference = parseReference(text);
  if (reference.kind !== "registry") {
    throw new MullError("invalid_argument", `'${text}' is no name of a model in a registry.`, {
      hint: "Copy the model to such a name first: mull cp llava registry.example.com/team/llava",
    });
  }
  const stored = await store.find(reference.name);
  if (stored === undefined) {
    throw new MullError("model_not_found", `There is no model called "${formatModelName(reference.name)}".`, {
      hint: "mull list shows which there are. Only models of mull's own store can be pushed.",
    });
  }
  const { createHttpClient } = await import("./http/create-http-client.ts");
  const { pushModel } = await import("./registry/push-model.ts");
  const client = createHttpClient({ env });
  try {
    await pushModel(store, stored, reference, { client, env, insecure, signal, onProgress });
  } finally {
    await client.close();
  }
}
