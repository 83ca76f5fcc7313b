import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { putManyModels } from "../../../bench/many-models.ts";
import { newStoreHome, type StoreHome } from "../../../test/support/store-home.ts";
import { temporaryFolder, tinyPair } from "../../../test/support/tiny-models.ts";
import { put, putOllamaModel } from "../../../test/support/tiny-store.ts";
import { saveModel } from "../../store/saved-model.ts";
import { nameOf, writeModel } from "../../../test/support/store-models.ts";

const folder = temporaryFolder();
let home: StoreHome;
let tiny = { model: "", projector: "" };

beforeAll(async () => {
  tiny = await tinyPair(folder.path);
});
beforeEach(() => {
  home = newStoreHome(folder.path);
});

const namesOf = (out: string): string[] =>
  out
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.split(/ {2,}/)[0] ?? "");

describe("mull list", () => {
  it("lists the model that ships when there is no other", async () => {
    const { code, out, err } = await home.run("list");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^NAME +ID +SIZE +MODIFIED\npico:latest +- +11\.0 MB +\S.*\n$/);
  });

  it("lists 500 models, each with its ID, size and age, newest first", async () => {
    const names = putManyModels(home.env["MULL_MODELS"] ?? "", 500);
    const { code, out, err } = await home.run("ls");
    expect([code, err]).toEqual([0, ""]);
    expect(namesOf(out)).toHaveLength(501);
    expect(new Set(namesOf(out))).toEqual(new Set([...names, "pico:latest"]));
    const stored = await home.store.list();
    const [, line = ""] = out.split("\n");
    expect(line).toMatch(/^model-\d+:\w+ +[0-9a-f]{12} +\d+ B +(just now|\d+ \w+ ago)$/);
    expect(namesOf(out).slice(0, 500)).toEqual(stored.map(({ name }) => `${name.model}:${name.tag}`));
  });

  it("lists only what begins so, in any case", async () => {
    await writeModel(home.store, "llava:7b", ["a"]);
    await writeModel(home.store, "owner/llava", ["a"]);
    await writeModel(home.store, "registry.example.com/team/x:v1", ["a"]);
    expect(namesOf((await home.run("list", "LLaVA")).out)).toEqual(["llava:7b"]);
    expect(namesOf((await home.run("list", "owner/")).out)).toEqual(["owner/llava:latest"]);
    expect(namesOf((await home.run("list")).out)).toContain("registry.example.com/team/x:v1");
    expect((await home.run("list", "nothing")).out).toMatch(/^NAME.*\n$/);
  });

  it("prints one JSON object per line", async () => {
    await writeModel(home.store, "llava:7b", ["weights"]);
    const { out } = await home.run("list", "--json");
    const rows = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows[0]).toMatchObject({
      name: "llava:7b",
      id: expect.stringMatching(/^[0-9a-f]{12}$/),
      bytes: "weights".length + "{}".length,
      source: "store",
    });
    expect(Number.isNaN(Date.parse(String(rows[0]?.["modifiedAt"])))).toBe(false);
    expect(rows[1]).toMatchObject({ name: "pico:latest", source: "bundled" });
  });

  it("lists saved conversations", async () => {
    await saveModel("ada", { load: { model: "pico" }, generation: {}, messages: [] }, home.env);
    expect(namesOf((await home.run("list")).out)).toEqual(["pico:latest", "ada"]);
  });

  it("says which manifest cannot be read, lists the rest, and fails", async () => {
    await writeModel(home.store, "good", ["a"]);
    await writeModel(home.store, "bad", ["b"]);
    writeFileSync(home.store.paths.manifest(nameOf("bad")), "<html>");
    const { code, out, err } = await home.run("list");
    expect(code).toBe(1);
    expect(namesOf(out)).toEqual(["good:latest", "pico:latest"]);
    expect(err).toMatch(/^Damaged: bad:latest: .*is no JSON/);
  });
});

describe("mull list --all", () => {
  it("lists what Ollama, Hugging Face, llama.cpp and LM Studio keep, and whose each is", async () => {
    const bytes = readFileSync(tiny.model);
    await writeModel(home.store, "own", ["a"]);
    putOllamaModel(home.env["OLLAMA_MODELS"] ?? "", { model: "llava", tag: "13b" }, [
      { kind: "model", content: bytes },
    ]);
    putHubFile(join(home.path, "cache", "huggingface", "hub"), "org/repo", "x-Q4_0.gguf", bytes);
    put(join(home.path, "cache", "llama.cpp", "someone_thing_y-Q8_0.gguf"), bytes);
    put(join(home.path, ".lmstudio", "models", "maker", "model", "z-Q4_K_M.gguf"), bytes);
    const { code, out } = await home.run("list", "--all");
    expect(code).toBe(0);
    const rows = out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/));
    expect(rows[0]).toEqual(["NAME", "ID", "SIZE", "MODIFIED", "SOURCE"]);
    const sources = Object.fromEntries(rows.slice(1).map((row) => [row.at(-1), row[0]]));
    expect(sources).toEqual({
      store: "own:latest",
      bundled: "pico:latest",
      ollama: "llava:13b",
      "hugging-face": "hf.co/org/repo:Q4_0",
      "llama.cpp": expect.stringMatching(/Q8_0/),
      "lm-studio": "maker/model:Q4_K_M",
    });
    expect((await home.run("list")).out).not.toContain("llava:13b");
  });

  it("says what is wrong with those that cannot be used, and does not fail for it", async () => {
    const { manifestPath } = putOllamaModel(home.env["OLLAMA_MODELS"] ?? "", { model: "llava" }, [
      { kind: "model", content: "x" },
    ]);
    writeFileSync(manifestPath, "{}");
    const { code, err } = await home.run("list", "--all");
    expect(code).toBe(0);
    expect(err).toMatch(/^Not usable: llava:latest \(ollama\): .*manifest/);
  });
});

function putHubFile(root: string, repository: string, file: string, content: Uint8Array): void {
  const base = join(root, `models--${repository.replace("/", "--")}`);
  const blob = put(join(base, "blobs", createHash("sha256").update(content).digest("hex")), content);
  const link = join(base, "snapshots", "0".repeat(40), file);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(relative(dirname(link), blob), link);
}
