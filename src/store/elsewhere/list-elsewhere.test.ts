import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder, tinyPair } from "../../../test/support/tiny-models.ts";
import { put, putOllamaModel } from "../../../test/support/tiny-store.ts";
import { findElsewhere } from "./find-elsewhere.ts";
import type { FoundModel } from "./found-model.ts";
import { listElsewhere } from "./list-elsewhere.ts";
import { walkFolder } from "./walk-folder.ts";

const folder = temporaryFolder();
/** What a file begins with is enough for a list. */
const GGUF = Buffer.from("GGUF\u0003\0\0\0 and so on");

let home = "";
let env: NodeJS.ProcessEnv = {};
let tiny = { model: Buffer.alloc(0), projector: Buffer.alloc(0) };

beforeAll(async () => {
  const { model, projector } = await tinyPair(folder.path);
  tiny = { model: readFileSync(model), projector: readFileSync(projector) };
});

beforeEach(() => {
  home = mkdtempSync(join(folder.path, "home-"));
  env = { HOME: home };
});

const list = async (source: FoundModel["source"], where = env): Promise<readonly FoundModel[]> =>
  (await listElsewhere(where)).filter((model) => model.source === source);

/** A file of a snapshot: a link to a blob, as huggingface_hub makes it. */
function putHubFile(
  root: string,
  repository: string,
  commit: string,
  file: string,
  content: string | Uint8Array,
): string {
  const base = join(root, `models--${repository.replace("/", "--")}`);
  const blob = put(join(base, "blobs", createHash("sha256").update(content).digest("hex")), content);
  const link = join(base, "snapshots", commit, file);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(relative(dirname(link), blob), link);
  return link;
}

const hub = (): string => join(home, ".cache", "huggingface", "hub");

describe("a machine without other programs", () => {
  it("has nothing, and nothing is made", async () => {
    expect(await listElsewhere(env)).toEqual([]);
    expect(readdirSync(home)).toEqual([]);
    expect(await findElsewhere("llava", env)).toBeUndefined();
  });
});

describe("Ollama", () => {
  const layers = (): Parameters<typeof putOllamaModel>[2] => [
    { kind: "model", content: tiny.model },
    { kind: "projector", content: tiny.projector },
    { kind: "template", content: "{{ .Prompt }}" },
    { kind: "system", content: "Be brief." },
    { kind: "params", content: '{"stop":["</s>"]}' },
    { kind: "license", content: "MIT" },
  ];

  it("is read where it keeps its models, every layer in place", async () => {
    const root = join(home, ".ollama", "models");
    const { manifestPath } = putOllamaModel(root, { model: "llava", tag: "13b" }, layers());
    const before = readdirSync(root, { recursive: true }).map(String).sort();
    const [model] = await list("ollama");
    expect(model).toMatchObject({ name: "llava:13b", kind: "gguf", manifestPath });
    expect(model).not.toHaveProperty("problem");
    expect(readFileSync(model?.model[0] ?? "").equals(tiny.model)).toBe(true);
    expect(readFileSync(model?.projector ?? "").equals(tiny.projector)).toBe(true);
    expect(readFileSync(model?.system ?? "", "utf8")).toBe("Be brief.");
    expect(readFileSync(model?.template ?? "", "utf8")).toBe("{{ .Prompt }}");
    expect(model?.bytes).toBeGreaterThan(tiny.model.length + tiny.projector.length);
    expect(readdirSync(root, { recursive: true }).map(String).sort()).toEqual(before);
  });

  it("is found by the names that people type", async () => {
    const root = join(home, "elsewhere");
    putOllamaModel(root, { model: "llava" }, layers());
    putOllamaModel(root, { host: "hf.co", namespace: "org", model: "repo", tag: "Q4_K_M" }, layers());
    const where = { ...env, OLLAMA_MODELS: root };
    for (const name of ["llava", "LLaVA:latest", "library/llava", "registry.ollama.ai/library/llava"]) {
      expect((await findElsewhere(name, where))?.name).toBe("llava:latest");
    }
    expect((await findElsewhere("hf.co/org/repo:q4_k_m", where))?.name).toBe("hf.co/org/repo:Q4_K_M");
    expect(await findElsewhere("llava:7b", where)).toBeUndefined();
    expect(await findElsewhere("example.com/library/llava", where)).toBeUndefined();
  });

  it("says what is wrong with a model", async () => {
    const root = join(home, ".ollama", "models");
    putOllamaModel(root, { model: "cloud" }, []);
    putOllamaModel(root, { model: "mlx" }, [{ kind: "tensor", content: "t" }]);
    put(join(root, "manifests", "registry.ollama.ai", "library", "broken", "latest"), "{");
    putOllamaModel(root, { model: "gone" }, [{ kind: "model", content: "GGUF lost" }]);
    rmSync(join(root, "blobs", `sha256-${createHash("sha256").update("GGUF lost").digest("hex")}`));
    const problems = Object.fromEntries((await list("ollama")).map(({ name, problem }) => [name, problem]));
    expect(problems).toMatchObject({
      "cloud:latest": expect.stringContaining("only Ollama runs") as string,
      "mlx:latest": expect.stringContaining("only Ollama runs") as string,
      "gone:latest": expect.stringContaining("is missing") as string,
      "broken:latest": expect.any(String) as string,
    });
  });

  it("is not listed where it is our own store", async () => {
    const root = join(home, ".ollama", "models");
    putOllamaModel(root, { model: "llava" }, layers());
    expect(await list("ollama", { ...env, MULL_MODELS: root })).toEqual([]);
  });
});

describe("the Hugging Face cache", () => {
  it("groups files by quantization, with their projector, over all snapshots", async () => {
    putHubFile(hub(), "org/llava-GGUF", "aaa", "llava-Q4_K_M.gguf", GGUF);
    putHubFile(hub(), "org/llava-GGUF", "aaa", "mmproj-f16.gguf", GGUF);
    putHubFile(hub(), "org/llava-GGUF", "bbb", "Q8_0/llava-Q8_0-00001-of-00002.gguf", `${GGUF.toString()}1`);
    putHubFile(hub(), "org/llava-GGUF", "bbb", "Q8_0/llava-Q8_0-00002-of-00002.gguf", `${GGUF.toString()}2`);
    putHubFile(hub(), "org/llava-GGUF", "bbb", "llava-Q4_K_M.gguf", GGUF);
    put(join(hub(), "models--org--llava-GGUF", "refs", "main"), "aaa");
    const models = await list("hugging-face");
    expect(models.map(({ name, problem, repository }) => [name, problem, repository])).toEqual([
      ["hf.co/org/llava-GGUF:Q4_K_M", undefined, "org/llava-GGUF"],
      ["hf.co/org/llava-GGUF:Q8_0", undefined, "org/llava-GGUF"],
    ]);
    expect(models[0]?.model[0]).toContain(join("snapshots", "aaa"));
    expect(models[1]?.model).toHaveLength(2);
    // Quantizations that came at different times share one projector.
    expect(models.map(({ projector }) => projector)).toEqual(models.map(() => models[0]?.projector));
    expect(models[0]?.projector).toContain("mmproj-f16.gguf");
  });

  it.each([
    ["hf.co/org/repo", "Q4_K_M"],
    ["org/repo", "Q4_K_M"],
    ["ORG/Repo:q8_0", "Q8_0"],
    ["hf.co/org/repo:q8_0", "Q8_0"],
    ["hf.co/org/repo:m-Q8_0.gguf", "Q8_0"],
  ])("finds %s", async (name, quantization) => {
    putHubFile(hub(), "org/repo", "aaa", "m-Q8_0.gguf", GGUF);
    putHubFile(hub(), "org/repo", "aaa", "m-Q4_K_M.gguf", `${GGUF.toString()}4`);
    expect(await findElsewhere(name, env)).toMatchObject({ quantization });
    expect(await findElsewhere("hf.co/org/repo:Q6_K", env)).toBeUndefined();
  });

  it("lists a folder of LLaVA's safetensors, and no other", async () => {
    putHubFile(hub(), "llava-hf/llava-1.5-7b-hf", "aaa", "config.json", '{"model_type":"llava"}');
    const weights = putHubFile(
      hub(),
      "llava-hf/llava-1.5-7b-hf",
      "aaa",
      "model-00001-of-00001.safetensors",
      "weights",
    );
    putHubFile(hub(), "org/bert", "aaa", "config.json", '{"model_type":"bert"}');
    putHubFile(hub(), "org/bert", "aaa", "model.safetensors", "weights");
    putHubFile(hub(), "org/odd", "aaa", "config.json", "null");
    symlinkSync("nowhere", join(hub(), "models--org--odd", "snapshots", "aaa", "more.safetensors"));
    putHubFile(hub(), "org/odd", "aaa", "model.safetensors", "weights");
    expect(await list("hugging-face")).toMatchObject([
      { name: "hf.co/llava-hf/llava-1.5-7b-hf", kind: "folder", folder: dirname(weights), model: [] },
    ]);
    expect(await findElsewhere("hf.co/llava-hf/llava-1.5-7b-hf", env)).toMatchObject({ kind: "folder" });
  });

  it.each([
    ["HF_HUB_CACHE", ""],
    ["HUGGINGFACE_HUB_CACHE", ""],
    ["HF_HOME", "hub"],
    ["XDG_CACHE_HOME", join("huggingface", "hub")],
  ])("lies where %s says", async (variable, below) => {
    const place = join(home, "place");
    putHubFile(join(place, below), "org/repo", "aaa", "m-Q4_0.gguf", GGUF);
    expect(await list("hugging-face", { ...env, [variable]: place })).toHaveLength(1);
  });
});

describe("llama.cpp", () => {
  it("is read as it was, flat, with manifests that tell repositories", async () => {
    const root = join(home, ".cache", "llama.cpp");
    for (const file of [
      "my_org_a_b_m-Q4_K_M.gguf",
      "my_org_a_b_mmproj-m-f16.gguf",
      "x_y_z-Q8_0.gguf",
      "x_other_mmproj.gguf",
    ]) {
      put(join(root, file), GGUF);
      put(join(root, `${file}.etag`), '"1"');
    }
    put(join(root, "manifest=my_org=a_b=latest.json"), "{}");
    put(join(root, "sub", "hidden.gguf"), GGUF);
    const models = await list("llama.cpp", { HOME: home });
    expect(models).toMatchObject([
      {
        name: "my_org/a_b:Q4_K_M",
        repository: "my_org/a_b",
        projector: join(root, "my_org_a_b_mmproj-m-f16.gguf"),
      },
      { name: "x_y_z-Q8_0" },
    ]);
    expect(models[1]).not.toHaveProperty("projector");
    expect(await findElsewhere("my_org/a_b", env)).toMatchObject({ source: "llama.cpp" });
    expect(await findElsewhere("x_y_z-Q8_0", env)).toMatchObject({ source: "llama.cpp" });
  });

  it("is read as it is, in the Hub's layout, where LLAMA_CACHE says", async () => {
    putHubFile(join(home, "cache"), "ggml-org/m-GGUF", "aaa", "m-Q4_K_M.gguf", GGUF);
    const where = { ...env, LLAMA_CACHE: join(home, "cache") };
    expect(await list("llama.cpp", where)).toMatchObject([{ name: "ggml-org/m-GGUF:Q4_K_M" }]);
    // What both programs use is listed once.
    const both = await listElsewhere({ ...where, HF_HUB_CACHE: join(home, "cache") });
    expect(both.map(({ source }) => source)).toEqual(["hugging-face"]);
  });
});

describe("LM Studio", () => {
  it("is read in its home and where its settings say", async () => {
    put(join(home, ".lmstudio", "models", "pub", "repo", "m-Q4_K_M.gguf"), GGUF);
    put(join(home, ".lmstudio", "models", "pub", "repo", "mmproj-m-f16.gguf"), GGUF);
    put(join(home, ".lmstudio", "models", "pub", "other", "m-Q8_0.gguf"), GGUF);
    put(join(home, "big", "pub", "third", "m.gguf"), GGUF);
    put(join(home, ".lmstudio", "settings.json"), JSON.stringify({ downloadsFolder: join(home, "big") }));
    const models = await list("lm-studio");
    expect(models.map(({ name }) => name).sort()).toEqual([
      "pub/other:Q8_0",
      "pub/repo:Q4_K_M",
      "pub/third:m.gguf",
    ]);
    expect(models.filter(({ projector }) => projector !== undefined).map(({ name }) => name)).toEqual([
      "pub/repo:Q4_K_M",
    ]);
    expect(await findElsewhere("pub/repo", env)).toMatchObject({ source: "lm-studio" });
    expect(await findElsewhere("pub/third", env)).toMatchObject({ source: "lm-studio" });
    expect(await findElsewhere("pub/repo:Q5_0", env)).toBeUndefined();
  });

  it("is read where its pointer points, and in its old place", async () => {
    put(join(home, "lms", "models", "pub", "repo", "a-Q4_0.gguf"), GGUF);
    put(join(home, ".cache", "lm-studio", "models", "pub", "repo", "b-Q4_0.gguf"), GGUF);
    put(join(home, ".lmstudio-home-pointer"), `${join(home, "lms")}\n`);
    expect(await list("lm-studio")).toHaveLength(2);
    put(join(home, ".lmstudio-home-pointer"), "relative/../../etc");
    put(join(home, ".lmstudio", "settings.json"), '{"downloadsFolder": 5');
    expect(await list("lm-studio")).toHaveLength(1);
  });
});

describe("anything on disk", () => {
  const models = (): string => join(home, ".lmstudio", "models");
  const problems = async (): Promise<Readonly<Record<string, string | undefined>>> =>
    Object.fromEntries((await list("lm-studio")).map(({ name, problem }) => [name, problem]));

  it("is reported as what it is", async () => {
    const repository = join(models(), "pub", "repo");
    put(join(repository, "empty.gguf"), "");
    put(join(repository, "page.gguf"), "<!doctype html>");
    put(join(repository, "pointer.gguf"), "version https://git-lfs.github.com/spec/v1\n");
    put(join(repository, "split-00002-of-00003.gguf"), GGUF);
    put(join(repository, "folder.gguf", "good-Q4_0.gguf"), GGUF);
    put(join(repository, "notes.txt"), "x");
    symlinkSync(join(home, "nowhere"), join(repository, "dangling.gguf"));
    symlinkSync("self.gguf", join(repository, "self.gguf"));
    execFileSync("mkfifo", [join(repository, "pipe.gguf")]);
    const name = (file: string): string => `pub/repo:${file}`;
    expect(await problems()).toEqual({
      [name("empty.gguf")]: "pub/repo/empty.gguf is empty",
      [name("page.gguf")]: "pub/repo/page.gguf is a web page",
      [name("pointer.gguf")]: "pub/repo/pointer.gguf is a Git LFS pointer, not the model itself",
      [name("split-00002-of-00003.gguf")]: expect.stringContaining("2 of 3 parts are missing") as string,
      [name("dangling.gguf")]: "pub/repo/dangling.gguf is a link that leads nowhere",
      [name("self.gguf")]: "pub/repo/self.gguf is a link that leads nowhere",
      [name("pipe.gguf")]: "pub/repo/pipe.gguf is no regular file",
      [name("Q4_0")]: undefined,
    });
  });

  it("is found damaged only when nothing sound goes by the name", async () => {
    put(join(models(), "pub", "repo", "m-Q4_0.gguf"), "");
    expect((await findElsewhere("pub/repo", env))?.problem).toContain("is empty");
    put(join(models(), "pub", "repo", "m-Q8_0.gguf"), GGUF);
    expect(await findElsewhere("pub/repo", env)).toMatchObject({ quantization: "Q8_0" });
  });

  it("ends where links go round in circles, and sees each folder once", async () => {
    put(join(models(), "pub", "repo", "m-Q4_0.gguf"), GGUF);
    symlinkSync(models(), join(models(), "pub", "repo", "up"));
    symlinkSync(join(models(), "pub"), join(models(), "again"));
    symlinkSync(join(models(), "b"), join(models(), "a"));
    symlinkSync(join(models(), "a"), join(models(), "b"));
    expect(await list("lm-studio")).toHaveLength(1);
  });

  it("never reaches a terminal with its control characters", async () => {
    put(join(models(), "p\u001b[2J", "r\u202e", "m\n-x.gguf"), GGUF);
    const [model] = await list("lm-studio");
    expect(model?.name).not.toMatch(/\p{C}/u);
    expect(readFileSync(model?.model[0] ?? "")).toEqual(GGUF);
  });

  it("is not looked at without end", async () => {
    for (let file = 0; file < 50; file++) put(join(home, "many", `${file}.gguf`), "");
    const files = await walkFolder(join(home, "many"), { depth: 2, wants: () => true, mostEntries: 20 });
    expect(files).toHaveLength(21);
    expect(files.filter(({ problem }) => problem?.includes("more than 20 files"))).toHaveLength(1);
  });

  it.runIf(process.getuid?.() !== 0)("is reported when nobody may read it", async () => {
    const repository = join(models(), "pub", "repo");
    put(join(repository, "m.gguf"), GGUF);
    const manifests = join(home, ".ollama", "models", "manifests");
    put(join(hub(), "x"), "x");
    put(join(manifests, "x"), "x");
    for (const folder of [repository, hub(), manifests]) chmodSync(folder, 0);
    const all = await listElsewhere(env);
    for (const folder of [repository, hub(), manifests]) chmodSync(folder, 0o700);
    expect(all.map(({ source, problem }) => [source, problem])).toEqual([
      ["ollama", expect.stringContaining("EACCES")],
      ["hugging-face", "cannot be read (EACCES)"],
      ["lm-studio", "cannot be read (EACCES)"],
    ]);
  });

  it("may be files where folders are expected", async () => {
    for (const path of [
      ".ollama/models",
      ".cache/huggingface/hub",
      ".cache/llama.cpp",
      ".lmstudio/models",
      ".lmstudio-home-pointer/x",
    ]) {
      put(join(home, path), "file");
    }
    expect((await listElsewhere(env)).filter(({ problem }) => problem === undefined)).toEqual([]);
  });
});
