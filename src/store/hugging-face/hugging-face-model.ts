import { readFile } from "node:fs/promises";
import { invalidModel } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { chooseGguf } from "../gguf-files/choose-gguf.ts";
import { chooseProjector } from "../gguf-files/choose-projector.ts";
import { groupGgufs } from "../gguf-files/gguf-group.ts";
import { manifestOfGgufs, type StoredFile, withSource } from "../gguf-manifest.ts";
import type { HttpClient } from "../http/http-client.ts";
import { openRanges } from "../http/open-ranges.ts";
import { type Descriptor, layer, LAYER_TYPE, type LayerKind } from "../manifest.ts";
import { formatModelName } from "../model-name.ts";
import type { ModelStore } from "../model-store.ts";
import type { ModelReference } from "../reference.ts";
import type { RemoteBlob, RemoteModel } from "../remote-model.ts";
import { type Hub, hubOf } from "./hub.ts";
import { credentialsHint, fetchRepository, type HubFile, type HubRepository } from "./hub-repository.ts";

export interface HuggingFaceOptions {
  client: HttpClient;
  /** HF_ENDPOINT, HF_TOKEN, HF_HOME; HOME and XDG_CACHE_HOME. */
  env: NodeJS.ProcessEnv;
  /** Where the blobs will be when the manifest is made. */
  store: Pick<ModelStore, "paths" | "writeBlob">;
  signal?: AbortSignal | undefined;
  /** An HF_ENDPOINT without TLS on another machine. Default false. */
  allowPlainHttp?: boolean;
}

type HuggingFaceReference = Extract<ModelReference, { kind: "hugging-face" }>;

/** Files that the owner of a repository puts beside the GGUF, as Hugging Face's bridge to Ollama reads them. */
const TEXTS: Readonly<Record<string, LayerKind>> = {
  template: "template",
  system: "system",
  params: "params",
};
const MOST_TEXT_BYTES = 4 * 1024 * 1024;

/**
 * A GGUF model in a repository of Hugging Face: the quantization that is wanted with all its parts, and the projector
 * beside it.
 *
 * @throws MullError `model_not_found` (no such quantization: the hint lists what there is), `invalid_model` (parts
 *   are missing; only safetensors), `invalid_argument` (several files fit), `unauthorized`, `server_unreachable`,
 *   `aborted`
 */
export async function huggingFaceModel(
  reference: HuggingFaceReference,
  options: HuggingFaceOptions,
): Promise<RemoteModel> {
  const { client, env, store, signal, allowPlainHttp = false } = options;
  const { name, repository, quantization } = reference;
  const hub = await hubOf(env);
  const listing = await fetchRepository(repository, hub, client, { signal, allowPlainHttp });
  const where = formatModelName(name).replace(/:[^:]*$/, "");
  const { ggufs, texts } = chooseFiles(listing, quantization, where);

  const remote = (file: HubFile, kind: LayerKind): RemoteBlob =>
    remoteBlob(file, kind, { hub, client, repository, commit: listing.commit, allowPlainHttp });
  const blobs = [
    ...ggufs.flatMap(({ kind, files }) => files.map((file) => remote(file, kind))),
    ...texts.map(({ kind, file }) => remote(file, kind)),
  ];

  return {
    name,
    blobs,
    async manifest(fetched) {
      // A key is the file's address.
      const stored = fetched.map((blob, index) => ({ ...blob, source: blobs[index]?.key }));
      const parts = ggufs.map(({ files }) => stored.splice(0, files.length));
      const layers: Descriptor[] = [];
      for (const [index, { kind, file }] of texts.entries()) {
        const blob = stored[index] as StoredFile;
        if (kind === "params") await checkParameters(store.paths.blob(blob.digest), file.path);
        layers.push(withSource(layer(kind, blob.digest, blob.size), blob.source));
      }
      return manifestOfGgufs(store, parts, layers, signal);
    },
  };
}

interface ChosenFiles {
  ggufs: readonly { kind: LayerKind; files: readonly HubFile[] }[];
  texts: readonly { kind: LayerKind; file: HubFile }[];
}

function chooseFiles({ files }: HubRepository, quantization: string | undefined, where: string): ChosenFiles {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const groups = groupGgufs([...byPath.keys()]);
  if (
    !groups.some(({ role }) => role === "model") &&
    files.some(({ path }) => /\.safetensors$/i.test(path))
  ) {
    throw new MullError("invalid_model", `${where} holds safetensors and no GGUF file.`, {
      hint: `Download the folder, and convert it: write FROM <folder> into a Modelfile, then mull create NAME -f Modelfile. Or look for a repository with GGUF in its name.`,
    });
  }
  const model = chooseGguf(groups, quantization, where);
  const projector = chooseProjector(groups, model);
  const filesOf = (paths: readonly string[]): readonly HubFile[] =>
    paths.flatMap((path) => byPath.get(path) ?? []);
  return {
    ggufs: [
      { kind: "model", files: filesOf(model.parts) },
      ...(projector === undefined ? [] : [{ kind: "projector" as const, files: filesOf(projector.parts) }]),
    ],
    texts: Object.entries(TEXTS).flatMap(([path, kind]) => {
      const file = byPath.get(path);
      if (file === undefined || file.size === 0) return [];
      if ((file.size ?? 0) > MOST_TEXT_BYTES) {
        throw invalidModel(`${where}, ${path}`, `a file of ${file.size} bytes is no ${path}`);
      }
      return [{ kind, file }];
    }),
  };
}

interface Place {
  hub: Hub;
  client: HttpClient;
  repository: string;
  commit: string;
  allowPlainHttp: boolean;
}

function remoteBlob(file: HubFile, kind: LayerKind, place: Place): RemoteBlob {
  const { hub, client, repository, commit, allowPlainHttp } = place;
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  const url = new URL(`${repository}/resolve/${commit}/${path}`, hub.endpoint);
  return {
    label: file.path,
    digest: file.digest,
    size: file.size,
    // The commit is in it: what is there never changes.
    key: url.href,
    mediaType: `${LAYER_TYPE}${kind}`,
    open: openRanges({
      client,
      origin: url.origin,
      allowPlainHttp,
      subject: `The file ${file.path}`,
      credentialsHint: credentialsHint(repository, hub),
      request: (headers, signal) =>
        client.send({ url, headers, authorization: hub.authorization, signal, allowPlainHttp }),
    }),
  };
}

async function checkParameters(path: string, file: string): Promise<void> {
  const text = await readFile(path, "utf8");
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  } catch {
    // Told below.
  }
  throw invalidModel(file, "the repository's parameters are no JSON object");
}
