import type { ModelStore, StoredModel } from "../../src/store/model-store.ts";
import type { FetchedBlob, RemoteModel } from "../../src/store/remote-model.ts";

/** The least that makes a stored model of a remote one: every blob whole, one after the other. */
export async function fetchRemote(remote: RemoteModel, store: ModelStore): Promise<StoredModel> {
  const fetched: FetchedBlob[] = [];
  for (const blob of remote.blobs) {
    const { body } = await blob.open({ start: 0, end: undefined }, new AbortController().signal);
    fetched.push(await store.receiveBlob(body, blob.digest === undefined ? {} : { expected: blob.digest }));
  }
  const { bytes } = await remote.manifest(fetched);
  return store.writeManifest(remote.name, bytes);
}
