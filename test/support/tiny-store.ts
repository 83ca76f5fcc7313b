import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Writes a file and the folders above it. */
export function put(path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

export interface OllamaLayer {
  /** After `application/vnd.ollama.image.`. */
  kind: string;
  content: string | Uint8Array;
}

/** Writes a model as Ollama would: its blobs and its manifest. */
export function putOllamaModel(
  root: string,
  name: { host?: string; namespace?: string; model: string; tag?: string },
  layers: readonly OllamaLayer[],
): { manifestPath: string; id: string } {
  const blob = (mediaType: string, content: string | Uint8Array): object => {
    const hex = createHash("sha256").update(content).digest("hex");
    put(join(root, "blobs", `sha256-${hex}`), content);
    return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
  };
  const config = JSON.stringify({
    model_format: "gguf",
    model_family: "llama",
    architecture: "amd64",
    os: "linux",
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.docker.distribution.manifest.v2+json",
    config: blob("application/vnd.docker.container.image.v1+json", config),
    layers: layers.map(({ kind, content }) => blob(`application/vnd.ollama.image.${kind}`, content)),
  };
  const { host = "registry.ollama.ai", namespace = "library", model, tag = "latest" } = name;
  const manifestPath = put(join(root, "manifests", host, namespace, model, tag), JSON.stringify(manifest));
  return {
    manifestPath,
    id: `sha256:${createHash("sha256").update(readFileSync(manifestPath)).digest("hex")}`,
  };
}
