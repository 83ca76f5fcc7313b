import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { digestOf } from "../src/store/digest.ts";
import { CONFIG_TYPE, type Descriptor, encodeManifest, layer } from "../src/store/manifest.ts";
import { modelName } from "../src/store/model-name.ts";
import { storePaths } from "../src/store/store-paths.ts";

const KINDS = ["model", "template", "system", "params", "license"] as const;
const TAGS = ["latest", "7b", "13b", "q8_0"];

/**
 * Fills a folder with small models of as many layers as published ones have, as another program would: nothing is
 * synced, nothing vouches for it.
 *
 * @returns their names, in no order
 */
export function putManyModels(root: string, count: number): string[] {
  const paths = storePaths(root);
  mkdirSync(paths.blobs, { recursive: true });
  const write = (text: string): Pick<Descriptor, "digest" | "size"> => {
    const bytes = Buffer.from(text);
    const digest = digestOf(bytes);
    writeFileSync(paths.blob(digest), bytes);
    return { digest, size: bytes.length };
  };
  const config = { mediaType: CONFIG_TYPE, ...write("{}") };
  return Array.from({ length: count }, (_, index) => {
    const layers = KINDS.map((kind) => {
      const { digest, size } = write(kind === "model" ? `weights ${index}` : kind);
      return layer(kind, digest, size);
    });
    const model = `model-${Math.floor(index / TAGS.length)}`;
    const tag = TAGS[index % TAGS.length] ?? "";
    const path = paths.manifest(modelName({ host: "registry.ollama.ai", namespace: "library", model, tag }));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, encodeManifest({ config, layers }));
    return `${model}:${tag}`;
  });
}
