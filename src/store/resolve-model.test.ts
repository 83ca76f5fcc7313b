import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { nameOf } from "../../test/support/store-models.ts";
import { temporaryFolder, tinyPair } from "../../test/support/tiny-models.ts";
import { putOllamaModel } from "../../test/support/tiny-store.ts";
import { layersOf } from "./manifest.ts";
import { importModel } from "./import-model.ts";
import type { ModelSetup } from "./model-setup.ts";
import type { ModelStore, StoredModel } from "./model-store.ts";
import { openStore } from "./open-store.ts";
import { resolveModel } from "./resolve-model.ts";
import { saveModel } from "./saved-model.ts";

const folder = temporaryFolder();
let tiny = { model: "", projector: "" };
let home = "";
let env: NodeJS.ProcessEnv = {};
let store: ModelStore;
const before = process.cwd();

beforeAll(async () => {
  tiny = await tinyPair(folder.path);
});

beforeEach(() => {
  home = mkdtempSync(join(folder.path, "home-"));
  env = { HOME: home, XDG_DATA_HOME: join(home, "data"), MULL_MODELS: join(home, "store") };
  store = openStore({ env });
});
afterEach(() => process.chdir(before));

const resolve = (text: string): Promise<ModelSetup> => resolveModel(text, { env });
const put = (name: string): Promise<StoredModel> =>
  importModel(store, tiny.model, { env, name: nameOf(name), copy: true });
const inOllama = (model: string, system = "Of Ollama."): unknown =>
  putOllamaModel(join(home, ".ollama", "models"), { model }, [
    { kind: "model", content: readFileSync(tiny.model) },
    { kind: "system", content: system },
  ]);

describe("what a person wrote", () => {
  it.each(["pico", "PICO", "pico:latest", "library/pico"])("%s is the model that ships", async (text) => {
    expect(await resolve(text)).toMatchObject({ place: "bundled", load: { projector: expect.any(String) } });
  });

  it("is the path of a file, be it there or not", async () => {
    expect(await resolve(tiny.model)).toEqual({
      name: tiny.model,
      place: "file",
      load: { model: tiny.model },
    });
    process.chdir(home);
    expect(await resolve("./x.gguf")).toMatchObject({ load: { model: join(process.cwd(), "x.gguf") } });
  });

  it("is a file without an ending, when nothing has that name", async () => {
    process.chdir(home);
    writeFileSync("model", readFileSync(tiny.model));
    expect(await resolve("model")).toMatchObject({ place: "file" });
    await put("model");
    expect(await resolve("model")).toMatchObject({ place: "store" });
  });

  it.each(["own", "OWN", "own:latest", "library/own", "registry.ollama.ai/library/own:LATEST"])(
    "%s is a model of the store",
    async (text) => {
      await put("own");
      expect(await resolve(text)).toMatchObject({ name: "own:latest", place: "store" });
    },
  );

  it("is the ID of a model, or its weights' digest, in full", async () => {
    const { digest, manifest } = await put("own");
    expect(await resolve(digest)).toMatchObject({ name: "own:latest" });
    expect(await resolve(digest.replace(":", "-").toUpperCase())).toMatchObject({ name: "own:latest" });
    expect(await resolve(layersOf(manifest, "model")[0]!.digest)).toMatchObject({ name: "own:latest" });
    await expect(resolve(digest.slice(0, 19))).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(resolve(`sha256:${"0".repeat(64)}`)).rejects.toMatchObject({ code: "model_not_found" });
  });

  it("is a model of another program, with what is set for it", async () => {
    inOllama("theirs");
    expect(await resolve("theirs")).toMatchObject({
      name: "theirs:latest",
      place: "ollama",
      system: "Of Ollama.",
    });
  });

  it("is looked for in the store before it is elsewhere, and saved conversations go before both", async () => {
    inOllama("own");
    await put("own");
    expect(await resolve("own")).toMatchObject({ place: "store" });
    await saveModel("own", { load: { model: "pico" }, generation: {}, messages: [] }, env);
    expect(await resolve("own")).toMatchObject({ place: "saved" });
  });
});

describe("a saved conversation", () => {
  const messages = [{ role: "user" as const, content: "My name is Ada." }];

  it("stands for the files of the model that was talked with", async () => {
    await saveModel(
      "ada",
      { load: { model: "pico", contextLength: 99 }, generation: { topK: 3 }, messages },
      env,
    );
    const pico = await resolve("pico");
    expect(await resolve("ada")).toEqual({
      name: "ada",
      place: "saved",
      load: { ...pico.load, contextLength: 99 },
      generation: { topK: 3 },
      messages,
    });
  });

  it("keeps what is set for that model, where it says nothing else", async () => {
    inOllama("theirs");
    await saveModel("ada", { load: { model: "theirs" }, generation: {}, messages }, env);
    expect(await resolve("ada")).toMatchObject({ system: "Of Ollama.", messages });
    await saveModel("eve", { load: { model: "theirs" }, generation: {}, messages: [], system: "Own." }, env);
    expect(await resolve("eve")).toMatchObject({ system: "Own." });
  });

  it("that is called like the model that was talked with is no circle", async () => {
    inOllama("theirs");
    await saveModel("theirs", { load: { model: "theirs" }, generation: {}, messages }, env);
    expect(await resolve("theirs")).toMatchObject({ place: "saved", system: "Of Ollama.", messages });
  });
});

describe("what is nowhere", () => {
  it("is an error with near names, and how to get it", async () => {
    await put("bakllava");
    await expect(resolve("baklava")).rejects.toMatchObject({
      code: "model_not_found",
      message: 'There is no model called "baklava".',
      hint: expect.stringMatching(/^Did you mean bakllava\? To download it: mull pull baklava\./),
      details: { near: ["bakllava"], canBePulled: false },
    });
  });

  it.each([
    ["llava", "other", true],
    ["lava", "llava", false],
    ["llava:lates", "llava", true],
    ["llava:13b", "llava:7b", true],
    ["llama3", "llama2", true],
    ["qwen2.5vl:7b", "qwen2.5vl:3b", true],
    ["bakllava:7b", "baklava:7b", false],
  ])("%s can be downloaded when %s is here: %s", async (wanted, here, canBePulled) => {
    await put(here);
    await expect(resolve(wanted)).rejects.toMatchObject({ details: { canBePulled } });
  });

  it("cannot be downloaded by a digest, or when it is no name", async () => {
    await expect(resolve(`sha256:${"0".repeat(64)}`)).rejects.toMatchObject({
      hint: expect.not.stringContaining("mull pull"),
      details: { canBePulled: false },
    });
    await expect(resolve("What is this?")).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

describe("a model of the store that is not whole", () => {
  it.each([
    ["is missing", (path: string) => rmSync(path)],
    ["is damaged", (path: string) => writeFileSync(path, readFileSync(path).fill(0, 100))],
    ["is damaged", (path: string) => writeFileSync(path, "short")],
  ])("is an error that says which part %s, and what to do", async (problem, spoil) => {
    const { manifest } = await put("own");
    const [layer] = layersOf(manifest, "model");
    spoil(store.paths.blob(layer!.digest));
    await expect(resolve("own")).rejects.toMatchObject({
      code: "invalid_model",
      message: `own:latest: its model ${layer!.digest.slice(7, 19)} ${problem}.`,
      hint: "Get it again with: mull pull own:latest",
    });
  });

  it("is an error for a manifest that cannot be read, too", async () => {
    const { name } = await put("own");
    writeFileSync(store.paths.manifest(name), "<html>");
    await expect(resolve("own")).rejects.toMatchObject({ code: "invalid_model" });
  });

  it("has its blobs hashed once where nothing vouches for them", async () => {
    const { name, manifest } = await put("own");
    rmSync(store.paths.verified, { recursive: true });
    const checked: string[] = [];
    const onCheck = ({ digest }: { digest: string }): void => void checked.push(digest);
    await resolveModel("own", { env, onCheck });
    expect(checked).toEqual(manifest.layers.map(({ digest }) => digest));
    await resolveModel("own", { env, onCheck });
    expect(checked).toHaveLength(manifest.layers.length);
    expect((await store.find(name))?.manifest).toEqual(manifest);
  });
});
