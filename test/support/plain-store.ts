import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { digestOf } from "../../src/store/digest.ts";
import {
  CONFIG_TYPE,
  type Descriptor,
  encodeManifest,
  layer,
  parseManifest,
} from "../../src/store/manifest.ts";
import { modelName, parseModelName } from "../../src/store/model-name.ts";
import type { StoredModel } from "../../src/store/model-store.ts";
import type { PushedStore } from "../../src/store/registry/push-model.ts";
import { storePaths } from "../../src/store/store-paths.ts";

/** Models in Ollama's layout, written without any of a store's care: something to push. */
export interface PlainStore extends PushedStore, Disposable {
  /** @param model content of the model layer @param system content of another, small one */
  add(name: string, model: Uint8Array, system?: string): StoredModel;
}

export function plainStore(): PlainStore {
  const root = mkdtempSync(join(tmpdir(), "mull-test-store-"));
  const paths = storePaths(root);
  const models: StoredModel[] = [];
  const write = (path: string, bytes: Uint8Array): void => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  };
  const addBlob = (bytes: Uint8Array): { digest: Descriptor["digest"]; size: number } => {
    const digest = digestOf(bytes);
    write(paths.blob(digest), bytes);
    return { digest, size: bytes.length };
  };
  return {
    paths,
    list: async () => await Promise.resolve(models),
    async checkBlob({ digest }) {
      return await Promise.resolve(digestOf(readFileSync(paths.blob(digest))) === digest);
    },
    pin: async () =>
      await Promise.resolve({
        add: async () => await Promise.resolve(),
        release: async () => await Promise.resolve(),
      }),
    add(text, model, system = "Be brief.") {
      const name = parseModelName(text) ?? modelName({ host: "", namespace: "", model: "", tag: "" });
      const [weights, prompt] = [addBlob(model), addBlob(Buffer.from(system))];
      const config = { mediaType: CONFIG_TYPE, ...addBlob(Buffer.from('{"model_format":"gguf"}')) };
      const layers = [
        layer("model", weights.digest, weights.size),
        layer("system", prompt.digest, prompt.size),
      ];
      const bytes = encodeManifest({ config, layers });
      write(paths.manifest(name), bytes);
      const manifest = parseManifest(bytes, text);
      const stored = { name, digest: digestOf(bytes), manifest, bytes: weights.size, modifiedAt: new Date() };
      models.push(stored);
      return stored;
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}
