import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { writeRandomAdapter } from "../../../bench/random-adapter.ts";
import { writeCheckpointFolder } from "../../../test/support/llava-checkpoint.ts";
import { splitModel } from "../../../test/support/split-model.ts";
import { temporaryFolder, tinyPair } from "../../../test/support/tiny-models.ts";
import { putOllamaModel } from "../../../test/support/tiny-store.ts";
import { bytesOf, findProblems, nameOf } from "../../../test/support/store-models.ts";
import * as weights from "../../engine/quantize-model.ts";
import { readGguf } from "../../gguf/read.ts";
import { digestOf } from "../digest.ts";
import { kindOf, layersOf } from "../manifest.ts";
import type { ModelStore, StoredModel } from "../model-store.ts";
import { parseModelfile } from "../modelfile/parse-modelfile.ts";
import { openStoredModel } from "../open-stored-model.ts";
import { openStore } from "../open-store.ts";
import { saveModel } from "../saved-model.ts";
import type { TransferProgress } from "../transfer-progress.ts";
import { createModel } from "./create-model.ts";
import type { CreateOptions } from "./creation.ts";
import { type Recipe, recipeOf } from "./recipe.ts";

const folder = temporaryFolder();
let tiny = { model: "", projector: "" };
let adapter = "";
let split: readonly string[] = [];

let home = "";
let store: ModelStore;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  tiny = await tinyPair(folder.path);
  adapter = join(folder.path, "adapter.gguf");
  const gguf = await readGguf(tiny.model);
  await writeRandomAdapter(adapter, gguf, { rank: 2, alpha: 4, tensors: ["blk.0.attn_q.weight"], seed: 3 });
  split = await splitModel(tiny.model, join(folder.path, "split.gguf"), 8);
});

beforeEach(() => {
  home = mkdtempSync(join(folder.path, "home-"));
  store = openStore({ root: join(home, "store") });
  env = { HOME: home, XDG_DATA_HOME: join(home, "data") };
});

const nothing: Recipe = { from: { files: [] }, adapters: [], parameters: {}, messages: [], licenses: [] };

/** @param settings over the usual; nothing can be downloaded */
async function make(
  recipe: Partial<Recipe> | string,
  settings: Partial<CreateOptions> & { name?: string } = {},
): Promise<StoredModel> {
  const { name = "mine", ...options } = settings;
  const written =
    typeof recipe === "string"
      ? recipeOf(parseModelfile(bytesOf(recipe), "Modelfile").modelfile, folder.path)
      : { ...nothing, ...recipe };
  return createModel(store, nameOf(name), written, {
    env,
    weights,
    fetchModel: async (missing) => {
      throw new Error(`asked to fetch ${missing}`);
    },
    ...options,
  });
}

const kinds = ({ manifest }: StoredModel): (string | undefined)[] => manifest.layers.map(kindOf);
const digestsOf = (model: StoredModel, kind: Parameters<typeof layersOf>[1]): string[] =>
  layersOf(model.manifest, kind).map(({ digest }) => digest);
const textOf = (model: StoredModel, kind: Parameters<typeof layersOf>[1]): string[] =>
  layersOf(model.manifest, kind).map(({ digest }) => readFileSync(store.paths.blob(digest), "utf8"));
const digestOfFile = (path: string): string => digestOf(readFileSync(path));
const settingsOf = async (model: StoredModel): ReturnType<typeof openStoredModel> =>
  openStoredModel(store, model);

/** No name, no blob, no temporary file: as if nothing had been tried. */
async function expectNothingLeft(): Promise<void> {
  expect(await store.list()).toEqual([]);
  await store.prune();
  const files = existsSync(store.paths.root)
    ? readdirSync(store.paths.root, { recursive: true, withFileTypes: true })
    : [];
  expect(files.filter((file) => !file.isDirectory()).map(({ name }) => name)).toEqual([]);
}

const temporaryFiles = (): string[] =>
  existsSync(store.paths.partial) ? readdirSync(store.paths.partial) : [];

function upload(path: string, name: string): Promise<{ blob: ReturnType<typeof digestOf>; name: string }> {
  return store.writeBlob(readFileSync(path)).then(({ digest }) => ({ blob: digest, name }));
}

describe("a model of files", () => {
  it("is a GGUF and its projector, told by their headers, in any order", async () => {
    const statuses: string[] = [];
    const model = await make(`FROM ${tiny.projector}\nFROM ${tiny.model}`, {
      onProgress: ({ status }) => void statuses.push(status),
    });
    expect(kinds(model)).toEqual(["model", "projector"]);
    expect(digestsOf(model, "model")).toEqual([digestOfFile(tiny.model)]);
    expect(digestsOf(model, "projector")).toEqual([digestOfFile(tiny.projector)]);
    expect([statuses[0], ...statuses.slice(-2)]).toEqual([
      "gathering model components",
      "writing manifest",
      "success",
    ]);
    expect(await findProblems(store)).toEqual([]);
    expect((await store.find(nameOf("mine")))?.digest).toBe(model.digest);
  });

  it("is a GGUF, and what PROJECTOR and ADAPTER name", async () => {
    const model = await make(`FROM ${tiny.model}\nPROJECTOR ${tiny.projector}\nADAPTER ${adapter}`);
    expect(kinds(model)).toEqual(["model", "projector", "adapter"]);
    const { load } = await settingsOf(model);
    expect(load.adapters).toEqual([store.paths.blob(layersOf(model.manifest, "adapter")[0]!.digest)]);
  });

  it("is all GGUF files of a folder", async () => {
    const from = join(home, "folder");
    writeFolder(from, { "b.gguf": tiny.model, "a-mmproj.GGUF": tiny.projector, "notes.txt": tiny.model });
    expect(kinds(await make({ from: { files: [{ path: from }] } }))).toEqual(["model", "projector"]);
  });

  it("is one split into parts: the first finds the others by name", async () => {
    const model = await make(`FROM ${split[0]}`);
    expect(digestsOf(model, "model")).toEqual(split.map(digestOfFile));
    expect(split.length).toBeGreaterThan(1);
    const { load } = await settingsOf(model);
    expect((await readGguf(load.splitFiles ?? [])).tensors.size).toBe(
      (await readGguf(tiny.model)).tensors.size,
    );
  });

  it("is one split into parts under names that say nothing, given in any order", async () => {
    const names = split.map((part, index) => {
      const path = join(home, `${"cab"[index] ?? index}.blob`);
      copyFileSync(part, path);
      return path;
    });
    const model = await make({
      from: { files: [...names.toReversed(), tiny.projector].map((path) => ({ path })) },
    });
    expect(digestsOf(model, "model")).toEqual(split.map(digestOfFile));
    expect(digestsOf(model, "projector")).toEqual([digestOfFile(tiny.projector)]);
  });

  it.each([
    ["two text models", () => [tiny.model, split[0] ?? ""], "invalid_model", /second text model/],
    ["a projector alone", () => [tiny.projector], "invalid_model", /a projector, not a text model/],
    ["an adapter alone", () => [adapter], "invalid_model", /an adapter, not a text model/],
  ])("is not %s, and that is known before a byte is stored", async (_, paths, code, message) => {
    const files = paths().map((path) => ({ path }));
    await expect(make({ from: { files } })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    await expectNothingLeft();
  });

  it.each([
    ["PROJECTOR", () => tiny.model, /is a text model, not a projector/],
    ["PROJECTOR", () => adapter, /is an adapter, not a projector/],
    ["ADAPTER", () => tiny.projector, /is a projector, not an adapter/],
  ])("does not take anything else for %s", async (instruction, path, message) => {
    await expect(make(`FROM ${tiny.model}\n${instruction} ${path()}`)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(message),
    });
    await expectNothingLeft();
  });

  it("says of an adapter in safetensors how to convert it", async () => {
    const path = join(home, "adapter.safetensors");
    writeFileSync(path, "{}");
    await expect(make(`FROM ${tiny.model}\nADAPTER ${path}`)).rejects.toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining("convert_lora_to_gguf.py"),
    });
  });

  it("refuses what is no GGUF, and stores nothing of it", async () => {
    const path = join(home, "page.gguf");
    writeFileSync(path, "<!doctype html>");
    await expect(make({ from: { files: [{ path }] } })).rejects.toMatchObject({ code: "invalid_model" });
    await expectNothingLeft();
  });

  it("refuses an adapter that is for another model", async () => {
    const other = await tinyPair(folder.path, { text: { embedding: 96, heads: 6, keyValueHeads: 2 } });
    await expect(make(`FROM ${other.model}\nADAPTER ${adapter}`)).rejects.toMatchObject({
      code: "invalid_model",
    });
    await expectNothingLeft();
  });
});

describe("a model of uploaded blobs", () => {
  it("is told by their headers, whatever their names are", async () => {
    const files = [await upload(tiny.projector, "one"), await upload(tiny.model, "two")];
    expect(kinds(await make({ from: { files } }))).toEqual(["model", "projector"]);
  });

  it("is a split one", async () => {
    const files = await Promise.all(split.toReversed().map((part) => upload(part, "part")));
    expect(digestsOf(await make({ from: { files } }), "model")).toEqual(split.map(digestOfFile));
  });

  it("is not made of a blob that is damaged, or gone", async () => {
    const file = await upload(tiny.model, "model.gguf");
    const path = store.paths.blob(file.blob);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    await expect(make({ from: { files: [file] } })).rejects.toMatchObject({
      code: "invalid_model",
      message: 'The uploaded file "model.gguf" is damaged.',
    });
    const [gone] = [await upload(adapter, "adapter.gguf")];
    await store.prune();
    await expect(
      make(`FROM ${tiny.model}`).then(() => make({ from: { files: [gone] } })),
    ).rejects.toMatchObject({
      code: "model_not_found",
    });
  });
});

describe("a model of safetensors", () => {
  it("is converted: a folder, or the same files uploaded, by name", async () => {
    const checkpoint = await writeCheckpointFolder(home);
    const ofFolder = await make({ from: { files: [{ path: checkpoint.folder }] } });
    expect(kinds(ofFolder)).toEqual(["model", "projector"]);
    const names = readdirSync(checkpoint.folder);
    const files = await Promise.all(names.map((name) => upload(join(checkpoint.folder, name), name)));
    const ofBlobs = await make({ from: { files } }, { name: "uploaded" });
    expect(digestsOf(ofBlobs, "model")).toEqual(digestsOf(ofFolder, "model"));
    expect(digestsOf(ofBlobs, "projector")).toEqual(digestsOf(ofFolder, "projector"));
    expect(temporaryFiles()).toEqual([]);
    await store.remove(nameOf("mine"));
    await store.remove(nameOf("uploaded"));
    await expectNothingLeft();
  });

  it("does not take a name that leads out of its folder", async () => {
    const file = await upload(tiny.model, "../model.safetensors");
    await expect(make({ from: { files: [file] } })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("../model.safetensors"),
    });
    expect(existsSync(join(store.paths.partial, "model.safetensors"))).toBe(false);
    await expectNothingLeft();
  });

  it("leaves nothing of a folder that cannot be converted", async () => {
    const from = join(home, "folder");
    writeFolder(from, {});
    writeFileSync(join(from, "model.safetensors"), "not a checkpoint");
    writeFileSync(join(from, "config.json"), "{}");
    await expect(make({ from: { files: [{ path: from }] } })).rejects.toMatchObject({
      code: expect.stringMatching(/^(invalid_model|model_not_found)$/),
    });
    await expectNothingLeft();
  });
});

describe("what is set for a model", () => {
  const texts = (): string =>
    [
      `FROM ${tiny.model}`,
      "TEMPLATE chatml_direct",
      "SYSTEM Be brief.",
      "PARAMETER temperature 0.25",
      "PARAMETER top_k 7",
      "PARAMETER stop one",
      'PARAMETER stop "two "',
      "MESSAGE user Hi",
      "MESSAGE assistant Hello",
      "LICENSE MIT",
    ].join("\n");

  it("is in its layers, and read from there", async () => {
    const model = await make(texts());
    expect(kinds(model)).toEqual(["model", "template", "system", "params", "messages", "license"]);
    const { load, ...settings } = await settingsOf(model);
    expect(load).toMatchObject({ template: "chatml_direct" });
    expect(settings).toMatchObject({
      name: "mine:latest",
      system: "Be brief.",
      generation: { temperature: 0.25, topK: 7, stop: ["one", "two "] },
      parameters: { temperature: 0.25, top_k: 7, stop: ["one", "two "] },
      messages: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Hello" },
      ],
      licenses: ["MIT"],
    });
  });

  it("stays in a model that is made from it, with the same blobs", async () => {
    const base = await make(texts());
    const model = await make("FROM mine", { name: "second" });
    expect(model.digest).toBe(base.digest);
  });

  it("is replaced text by text; parameters one by one; licenses add up", async () => {
    await make(texts());
    const second = [
      "FROM mine",
      "SYSTEM Answer at length.",
      "PARAMETER temperature 1",
      "PARAMETER num_ctx 256",
      "MESSAGE user Ho",
      "LICENSE Apache",
      "LICENSE MIT",
    ];
    const model = await make(second.join("\n"), { name: "second" });
    const settings = await settingsOf(model);
    expect(settings).toMatchObject({
      system: "Answer at length.",
      load: { template: "chatml_direct", contextLength: 256 },
      parameters: { temperature: 1, top_k: 7, stop: ["one", "two "], num_ctx: 256 },
      messages: [{ role: "user", content: "Ho" }],
      licenses: ["MIT", "Apache"],
    });
  });

  it("goes away where the new model says so", async () => {
    await make(texts());
    const model = await make({ from: { model: "mine" }, system: "" }, { name: "second" });
    expect(kinds(model)).not.toContain("system");
    expect(await settingsOf(model)).not.toHaveProperty("system");
  });

  it("refuses a template that cannot be rendered, before anything is read", async () => {
    await expect(make(`FROM ${tiny.model}\nTEMPLATE {{ call .System }}`)).rejects.toMatchObject({
      code: "template_failed",
      message: expect.stringContaining("call"),
    });
  });

  it("is a template that goes before the GGUF's own only if a person chose it", async () => {
    const published = putOllamaModel(store.paths.root, { model: "published" }, [
      { kind: "model", content: readFileSync(tiny.model) },
      { kind: "template", content: "{{ .Prompt }}" },
    ]);
    const kept = await make("FROM published");
    expect(digestsOf(kept, "template")).toEqual([digestOf(bytesOf("{{ .Prompt }}"))]);
    expect((await settingsOf(kept)).load).toMatchObject({ fallbackTemplate: "{{ .Prompt }}" });
    const chosen = await make("FROM published\nTEMPLATE {{ .System }}{{ .Prompt }}");
    expect((await settingsOf(chosen)).load).toMatchObject({ template: "{{ .System }}{{ .Prompt }}" });
    expect(published.id).not.toBe(chosen.digest);
  });
});

describe("a model of another model", () => {
  it("has its projector replaced, and adapters on top", async () => {
    const other = await tinyPair(folder.path, { projector: { seed: 99 } });
    const base = await make(`FROM ${tiny.model}\nFROM ${tiny.projector}\nADAPTER ${adapter}`);
    const model = await make(`FROM mine\nPROJECTOR ${other.projector}`, { name: "second" });
    expect(digestsOf(model, "model")).toEqual(digestsOf(base, "model"));
    expect(digestsOf(model, "projector")).toEqual([digestOfFile(other.projector)]);
    expect(digestsOf(model, "adapter")).toEqual(digestsOf(base, "adapter"));
  });

  it("can be named by its ID", async () => {
    const base = await make(`FROM ${tiny.model}\nSYSTEM Be brief.`);
    expect((await make(`FROM ${base.digest}`, { name: "second" })).digest).toBe(base.digest);
  });

  it("can be the one that ships", async () => {
    const model = await make("FROM pico\nSYSTEM Be brief.");
    expect(kinds(model)).toEqual(["model", "projector", "system"]);
  });

  it("can be Ollama's, whose settings and license come along", async () => {
    putOllamaModel(join(home, ".ollama", "models"), { model: "llava" }, [
      { kind: "model", content: readFileSync(tiny.model) },
      { kind: "projector", content: readFileSync(tiny.projector) },
      { kind: "system", content: "Be brief." },
      { kind: "license", content: "MIT" },
    ]);
    const model = await make("FROM llava\nPARAMETER seed 1");
    expect(kinds(model)).toEqual(["model", "projector", "system", "params", "license"]);
    expect(textOf(model, "license")).toEqual(["MIT"]);
    expect((await store.list()).map(({ name }) => name.model)).toEqual(["mine"]);
  });

  it("can be a saved conversation", async () => {
    await make(`FROM ${tiny.model}\nSYSTEM Be brief.\nPARAMETER top_k 3`, { name: "base" });
    const messages = [{ role: "user" as const, content: "My name is Ada." }];
    const load = { model: "base", contextLength: 300 };
    await saveModel("ada", { load, generation: { temperature: 0 }, messages }, env);
    const model = await make("FROM ada\nLICENSE MIT");
    expect(await settingsOf(model)).toMatchObject({
      system: "Be brief.",
      parameters: { top_k: 3, temperature: 0, num_ctx: 300 },
      messages,
      licenses: ["MIT"],
    });
    const picture = [{ type: "image" as const, image: "/x.png" }];
    await saveModel("eve", { load, generation: {}, messages: [{ role: "user", content: picture }] }, env);
    await expect(make("FROM eve")).rejects.toMatchObject({ code: "invalid_argument" });
  });

  it("is fetched when it is nowhere", async () => {
    const fetched: string[] = [];
    const fetchModel = async (name: string): Promise<void> => {
      fetched.push(name);
      await make(`FROM ${tiny.model}\nSYSTEM From afar.`, { name });
    };
    const model = await make("FROM owner/far:tag\nPARAMETER seed 1", { fetchModel });
    expect(fetched).toEqual(["owner/far:tag"]);
    expect(textOf(model, "system")).toEqual(["From afar."]);
    const failing = make("FROM nowhere", { fetchModel: async () => {} });
    await expect(failing).rejects.toMatchObject({ code: "model_not_found" });
  });

  it("is not made of one that is damaged: the error says how to get it again", async () => {
    const base = await make(`FROM ${tiny.model}`);
    const path = store.paths.blob(layersOf(base.manifest, "model")[0]!.digest);
    replaceFile(path, readFileSync(path).fill(0, 100, 200));
    await expect(make("FROM mine", { name: "second" })).rejects.toMatchObject({
      code: "invalid_model",
      message: "mine: its model is missing or damaged.",
      hint: "Get it again with: mull pull mine",
    });
    expect(await store.find(nameOf("second"))).toBeUndefined();
  });

  it("is not made of one that mull does not run", async () => {
    putOllamaModel(store.paths.root, { model: "mlx" }, [{ kind: "tensor", content: "x" }]);
    await expect(make("FROM mlx")).rejects.toMatchObject({
      message: expect.stringContaining("image.tensor"),
    });
    putOllamaModel(store.paths.root, { model: "empty" }, [{ kind: "system", content: "x" }]);
    await expect(make("FROM empty")).rejects.toMatchObject({
      message: expect.stringContaining("no weights"),
    });
  });
});

describe("quantising", () => {
  it("writes the text model anew, the projector too if that is asked for", async () => {
    const progress: TransferProgress[] = [];
    const from = `FROM ${tiny.model}\nFROM ${tiny.projector}\nSYSTEM Be brief.`;
    const model = await make(from, { quantize: "Q8_0", onProgress: (event) => void progress.push(event) });
    expect(digestsOf(model, "projector")).toEqual([digestOfFile(tiny.projector)]);
    expect(textOf(model, "system")).toEqual(["Be brief."]);
    const { load } = await settingsOf(model);
    expect((await readGguf(load.model ?? "")).number("general.file_type")).toBe(7);
    const own = progress.filter(({ status }) => status === "quantizing model to Q8_0");
    expect(own.at(-1)).toMatchObject({ completed: own.at(-1)?.total });

    const both = await make(from, { quantize: "q8_0", quantizeProjector: "f16", name: "both" });
    expect(digestsOf(both, "model")).toEqual(digestsOf(model, "model"));
    const projector = (await settingsOf(both)).load.projector ?? "";
    expect((await readGguf(projector)).number("general.file_type")).toBe(1);
    expect(temporaryFiles()).toEqual([]);
    // The large files from which they were made have not been stored.
    expect(await findProblems(store)).toEqual([]);
  });

  it("joins a split model", async () => {
    const model = await make(`FROM ${split[0]}`, { quantize: "q8_0" });
    expect(digestsOf(model, "model")).toEqual(
      digestsOf(await make(`FROM ${tiny.model}`, { quantize: "q8_0" }), "model"),
    );
  });

  it("refuses unknown types before any work is done", async () => {
    for (const settings of [{ quantize: "q9_X" }, { quantizeProjector: "q4_K_M" }]) {
      const statuses: string[] = [];
      const onProgress = ({ status }: TransferProgress): void => void statuses.push(status);
      const failing = make(`FROM ${tiny.model}`, { ...settings, onProgress });
      await expect(failing).rejects.toMatchObject({ code: "invalid_argument" });
      expect(statuses).toEqual([]);
    }
    await expectNothingLeft();
  });

  it("refuses what is quantised already, unless it is allowed", async () => {
    await make(`FROM ${tiny.model}`, { quantize: "q8_0" });
    const again = (options: Partial<CreateOptions>): Promise<StoredModel> =>
      make("FROM mine", { name: "again", quantize: "q4_0", ...options });
    await expect(again({})).rejects.toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining("--allow-requantize"),
    });
    expect(await store.find(nameOf("again"))).toBeUndefined();
    expect(kinds(await again({ allowRequantize: true }))).toEqual(["model"]);
  });

  it("says that there is no projector to quantise", async () => {
    await expect(make(`FROM ${tiny.model}`, { quantizeProjector: "q8_0" })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("no projector"),
    });
  });
});

describe("a creation that ends early", () => {
  it.each([
    "gathering model components",
    "quantizing model to q8_0",
    "verifying sha256 digest",
    "writing manifest",
  ])("leaves nothing when it is cancelled at %j", async (moment) => {
    const stop = new AbortController();
    const creating = make(`FROM ${tiny.model}\nFROM ${tiny.projector}`, {
      quantize: "q8_0",
      signal: stop.signal,
      onProgress: ({ status }) => {
        if (status === moment) stop.abort();
      },
    });
    // The manifest is written in one step: who cancels while that is announced may be too late.
    const outcome = await creating.then(
      () => "too late",
      (error: Error) => error.name,
    );
    const possible = moment === "writing manifest" ? ["too late", "MullError"] : ["MullError", "AbortError"];
    expect(possible).toContain(outcome);
    await store.remove(nameOf("mine")).catch(() => {});
    expect(temporaryFiles()).toEqual([]);
    await expectNothingLeft();
  });

  it("leaves the model of that name as it was", async () => {
    const before = await make(`FROM ${tiny.model}\nSYSTEM Be brief.`);
    const weightsThatFail = {
      ...weights,
      quantizeModel: async () => {
        throw new Error("the disk is full");
      },
    };
    await expect(make("FROM mine", { quantize: "q8_0", weights: weightsThatFail })).rejects.toThrow(
      "disk is full",
    );
    expect((await store.find(nameOf("mine")))?.digest).toBe(before.digest);
    await store.prune();
    expect(await findProblems(store)).toEqual([]);
  });
});

/** In place of the file: it may be a link to one that others need. */
function replaceFile(path: string, bytes: Uint8Array): void {
  rmSync(path);
  writeFileSync(path, bytes);
}

function writeFolder(path: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(path, { recursive: true });
  for (const [name, from] of Object.entries(files)) copyFileSync(from, join(path, name));
}
