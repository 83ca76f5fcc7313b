import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { writeRandomTextModel } from "../../bench/random-model.ts";
import { readGguf } from "../gguf/read.ts";
import { writeGguf } from "../gguf/write.ts";
import { temporaryFolder, tinyPair } from "../../test/support/tiny-models.ts";
import { put, putOllamaModel } from "../../test/support/tiny-store.ts";
import { findElsewhere } from "./elsewhere/find-elsewhere.ts";
import type { FoundModel } from "./elsewhere/found-model.ts";
import { importModel, type ImportModelOptions } from "./import-model.ts";
import { kindOf, layersOf } from "./manifest.ts";
import { formatModelName, parseModelName } from "./model-name.ts";
import type { ModelStore } from "./model-store.ts";
import { openStore } from "./open-store.ts";
import type { TransferProgress } from "./transfer-progress.ts";

const folder = temporaryFolder();
let tiny = { model: "", projector: "" };
let home = "";
let store: ModelStore;

beforeAll(async () => {
  tiny = await tinyPair(folder.path);
});

beforeEach(() => {
  home = mkdtempSync(join(folder.path, "home-"));
  store = openStore({ root: join(home, "store") });
});

function place(path: string, from: string): string {
  const target = put(join(home, path), "");
  copyFileSync(from, target);
  return target;
}

const bring = (
  found: FoundModel | string,
  options: ImportModelOptions = {},
): ReturnType<typeof importModel> => importModel(store, found, { env: { HOME: home }, ...options });

/** No blob that no manifest names stays behind, whatever happened. */
async function expectNothingStored(): Promise<void> {
  expect(await store.list()).toEqual([]);
  expect(
    readdirSync(home, { recursive: true }).filter((file) => /sha256-|manifests./.test(String(file))),
  ).toEqual([]);
}

describe("importing a file", () => {
  it("takes the projector beside it, and links rather than copies", async () => {
    const model = place("my models/LLaVA v1.5-Q4_0.gguf", tiny.model);
    place("my models/mmproj-F16.gguf", tiny.projector);
    const events: TransferProgress[] = [];
    const stored = await bring(model, { onProgress: (event) => void events.push(event) });
    expect(formatModelName(stored.name)).toBe("LLaVA-v1.5:Q4_0");
    expect(stored.manifest.layers.map(kindOf)).toEqual(["model", "projector"]);
    const [layer] = stored.manifest.layers;
    expect(
      readFileSync(store.paths.blob(layer?.digest ?? stored.digest)).equals(readFileSync(tiny.model)),
    ).toBe(true);
    expect(events.map(({ status }) => status)).toEqual(
      expect.arrayContaining([
        "importing LLaVA v1.5-Q4_0.gguf",
        "importing mmproj-F16.gguf",
        "writing manifest",
        "success",
      ]),
    );
    expect(events.at(-1)).toEqual({ status: "success" });
    expect(await store.find(stored.name)).toMatchObject({ digest: stored.digest });
    expect(statSync(model).size).toBe(statSync(tiny.model).size);
  });

  it("gives it the name that it is told, and the same ID each time", async () => {
    const model = place("m.gguf", tiny.model);
    const name = parseModelName("mine:v2");
    const first = await bring(model, name === undefined ? {} : { name });
    const again = await bring("~/m.gguf", { copy: true });
    expect(formatModelName(first.name)).toBe("mine:v2");
    expect(formatModelName(again.name)).toBe("m:latest");
    expect(again.digest).toBe(first.digest);
  });

  it("never shares a file that it was told to copy", async () => {
    const model = place("m.gguf", tiny.model);
    const { manifest } = await bring(model, { copy: true });
    const [layer] = manifest.layers;
    writeFileSync(model, "overwritten");
    expect(layer && readFileSync(store.paths.blob(layer.digest)).equals(readFileSync(tiny.model))).toBe(true);
  });

  it("takes all parts of a split one, whichever is named", async () => {
    const gguf = await readGguf(tiny.model);
    const tensors = await Promise.all(
      [...gguf.tensors.values()].map(async (info) => ({
        name: info.name,
        type: info.type,
        shape: info.shape,
        data: await gguf.readTensor(info),
      })),
    );
    const parts = await writeGguf(
      join(home, "split", "m-Q8_0.gguf"),
      { metadata: gguf.metadata, tensors },
      { maxTensorsPerFile: Math.ceil(tensors.length / 2) },
    );
    const stored = await bring(parts[1] ?? "");
    expect(layersOf(stored.manifest, "model")).toHaveLength(2);
    expect(formatModelName(stored.name)).toBe("m:Q8_0");
    truncateSync(parts[0] ?? "", 100);
    await expect(bring(parts[1] ?? "")).rejects.toMatchObject({ code: "invalid_model" });
  });

  it("takes a folder that holds one model, and asks when it holds several", async () => {
    place("one/m.gguf", tiny.model);
    place("one/mmproj.gguf", tiny.projector);
    expect((await bring(join(home, "one"))).manifest.layers).toHaveLength(2);
    place("one/other.gguf", tiny.model);
    await expect(bring(join(home, "one"))).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("m.gguf, other.gguf") as string,
    });
  });

  it("says how safetensors are converted", async () => {
    put(join(home, "llava", "model.safetensors"), "weights");
    await expect(bring(join(home, "llava"))).rejects.toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining(`FROM ${join(home, "llava")}`) as string,
    });
  });

  it("takes a file under any name", async () => {
    const model = place("sha256-0123", tiny.model);
    expect(formatModelName((await bring(model)).name)).toBe("sha256-0123:latest");
  });

  it.each([
    ["nothing", async () => join(home, "nothing.gguf"), "model_not_found"],
    [
      "an empty folder",
      async () => (put(join(home, "empty", "x.txt"), ""), join(home, "empty")),
      "model_not_found",
    ],
    ["an empty file", async () => put(join(home, "m.gguf"), ""), "invalid_model"],
    ["a picture", async () => put(join(home, "m.gguf"), "\u0089PNG\r\n"), "invalid_model"],
    ["a projector alone", async () => place("mmproj-f16.gguf", tiny.projector), "invalid_model"],
    ["a projector called a model", async () => place("m.gguf", tiny.projector), "invalid_model"],
    [
      "a model called a projector beside another",
      async () => (place("mmproj.gguf", tiny.model), place("m.gguf", tiny.model)),
      "invalid_model",
    ],
    ["a part of a model", async () => place("m-00001-of-00002.gguf", tiny.model), "invalid_model"],
    [
      "a model that ends early",
      async () => {
        const path = place("m.gguf", tiny.model);
        truncateSync(path, 5000);
        return path;
      },
      "invalid_model",
    ],
  ])("stores nothing of %s", async (_, prepare, code) => {
    await expect(bring(await prepare())).rejects.toMatchObject({ code });
    await expectNothingStored();
  });

  it("stops when it is told to", async () => {
    const model = place("m.gguf", tiny.model);
    await expect(bring(model, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
    await expectNothingStored();
  });
});

describe("importing what another program has", () => {
  const layers = (): Parameters<typeof putOllamaModel>[2] => [
    { kind: "model", content: readFileSync(tiny.model) },
    { kind: "projector", content: readFileSync(tiny.projector) },
    { kind: "template", content: "{{ .Prompt }}" },
    { kind: "license", content: "MIT" },
  ];

  it("keeps the ID of a model of Ollama's", async () => {
    const root = join(home, ".ollama", "models");
    const { id, manifestPath } = putOllamaModel(root, { model: "llava", tag: "13b" }, layers());
    const found = await findElsewhere("llava:13b", { HOME: home });
    const stored = await bring(found ?? "");
    expect(stored.digest).toBe(id);
    expect(formatModelName(stored.name)).toBe("llava:13b");
    expect(readFileSync(store.paths.manifest(stored.name))).toEqual(readFileSync(manifestPath));
    const states = await Promise.all(stored.manifest.layers.map((layer) => store.blobState(layer)));
    expect(states).toEqual(states.map(() => "intact"));
  });

  it("refuses one whose blobs are damaged, and names the file", async () => {
    const root = join(home, ".ollama", "models");
    putOllamaModel(root, { model: "llava" }, layers());
    const found = await findElsewhere("llava", { HOME: home });
    const path = found?.template ?? "";
    writeFileSync(path, "{{ .Evil   }}".slice(0, statSync(path).size));
    await expect(bring(found ?? "")).rejects.toMatchObject({
      code: "digest_mismatch",
      message: expect.stringContaining(path) as string,
    });
    expect(await store.list()).toEqual([]);
  });

  it("calls a model of LM Studio's as that does", async () => {
    place(".lmstudio/models/pub/repo-GGUF/m-Q8_0.gguf", tiny.model);
    place(".lmstudio/models/pub/repo-GGUF/mmproj-m-f16.gguf", tiny.projector);
    const stored = await bring((await findElsewhere("pub/repo-GGUF", { HOME: home })) ?? "");
    expect(formatModelName(stored.name)).toBe("pub/repo-GGUF:Q8_0");
    expect(stored.manifest.layers.map(kindOf)).toEqual(["model", "projector"]);
  });

  it("refuses what the list says is damaged", async () => {
    put(join(home, ".lmstudio/models/pub/repo/m-Q8_0.gguf"), "");
    const found = await findElsewhere("pub/repo", { HOME: home });
    await expect(bring(found ?? "")).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining("is empty") as string,
    });
  });

  it("holds what it brings in while another prunes", async () => {
    const text = join(home, "big.gguf");
    await writeRandomTextModel(text, { blocks: 4, seed: 7 });
    place("mmproj.gguf", tiny.projector);
    const other = openStore({ root: store.paths.root });
    const prunes: Promise<unknown>[] = [];
    const stored = await importModel(store, text, {
      env: { HOME: home },
      onProgress: () => void prunes.push(other.prune()),
    });
    await Promise.all(prunes);
    expect(prunes.length).toBeGreaterThan(2);
    expect(await store.find(stored.name)).toBeDefined();
    expect(await Promise.all(stored.manifest.layers.map((layer) => store.blobState(layer)))).toEqual([
      "intact",
      "intact",
    ]);
  });
});
