import { CONFIG_TYPE, encodeManifest, layer } from "../src/store/manifest.ts";
import { modelName } from "../src/store/model-name.ts";
import { openStore } from "../src/store/open-store.ts";

const KINDS = ["model", "template", "system", "params", "license"] as const;

/** Fills a store with small models of as many layers as published ones have. @returns their names, in no order */
export async function putManyModels(root: string, count: number): Promise<string[]> {
  const store = openStore({ root });
  const pin = await store.pin();
  const write = (text: string): ReturnType<typeof store.writeBlob> =>
    store.writeBlob(new TextEncoder().encode(text));
  const config = { mediaType: CONFIG_TYPE, ...(await write("{}")) };
  const names: string[] = [];
  for (let index = 0; index < count; index++) {
    const layers = [];
    for (const kind of KINDS) {
      const { digest, size } = await write(kind === "model" ? `weights ${index}` : kind);
      layers.push(layer(kind, digest, size));
    }
    await pin.add([config.digest, ...layers.map(({ digest }) => digest)]);
    const model = `model-${Math.floor(index / 4)}`;
    const tag = ["latest", "7b", "13b", "q8_0"][index % 4] ?? "";
    const name = modelName({ host: "registry.ollama.ai", namespace: "library", model, tag });
    await store.writeManifest(name, encodeManifest({ config, layers }));
    names.push(`${model}:${tag}`);
  }
  await pin.release();
  return names;
}
