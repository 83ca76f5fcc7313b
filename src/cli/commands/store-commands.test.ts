import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newStoreHome, type Ran, type StoreHome } from "../../../test/support/store-home.ts";
import { findProblems, nameOf, textDigest, writeModel } from "../../../test/support/store-models.ts";
import { temporaryFolder, tinyPair } from "../../../test/support/tiny-models.ts";
import { put, putOllamaModel } from "../../../test/support/tiny-store.ts";
import { layersOf } from "../../store/manifest.ts";
import { saveModel } from "../../store/saved-model.ts";

const folder = temporaryFolder();
let home: StoreHome;
let tiny = { model: "", projector: "" };

beforeAll(async () => {
  tiny = await tinyPair(folder.path);
});
beforeEach(() => {
  home = newStoreHome(folder.path);
});

const create = (name: string, modelfile: string, ...flags: string[]): Promise<Ran> =>
  home.runWith({ stdin: modelfile }, "create", name, "-f", "-", ...flags);

const listed = async (): Promise<string[]> =>
  (await home.store.list()).map(({ name }) => `${name.model}:${name.tag}`).toSorted();

describe("mull create", () => {
  it("says each step once, and makes the model", async () => {
    const { code, out, err } = await create("own", `FROM ${tiny.model}\nPROJECTOR ${tiny.projector}`);
    expect([code, out]).toEqual([0, ""]);
    expect(err.split("\n")).toEqual([
      "gathering model components",
      expect.stringMatching(/^importing .*\.gguf \(\d+ kB\)$/),
      expect.stringMatching(/^importing .*-mmproj\.gguf \(\d+ kB\)$/),
      expect.stringMatching(/^using layer [0-9a-f]{12}$/),
      expect.stringMatching(/^using layer [0-9a-f]{12}$/),
      "writing manifest",
      "success",
      "",
    ]);
    expect(await listed()).toEqual(["own:latest"]);
  });

  it("reads a file, whose paths are relative to where it lies", async () => {
    mkdirSync(join(home.path, "models"));
    copyFileSync(tiny.model, join(home.path, "models", "x.gguf"));
    writeFileSync(join(home.path, "models", "Modelfile"), "\ufefffrom x.gguf\r\nsystem Be brief.\r\n");
    expect((await home.run("create", "own", "-f", join(home.path, "models", "Modelfile"))).code).toBe(0);
    expect((await home.run("show", "own", "--system")).out).toBe("Be brief.\n");
  });

  it("quantises, also what the name already stands for", async () => {
    await create("own", `FROM ${tiny.model}`);
    expect((await create("own", "FROM own", "-q", "q8_0")).code).toBe(0);
    expect((await home.run("show", "own")).out).toMatch(/quantization +Q8_0\n/);
    const again = await create("own", "FROM own", "-q", "q4_0");
    expect(again.code).toBe(2);
    expect(again.err).toContain("--allow-requantize");
    expect((await create("own", "FROM own", "-q", "q4_0", "--allow-requantize")).code).toBe(0);
    expect((await home.run("show", "own")).out).toMatch(/quantization +Q4_0\n/);
  });

  it("says warnings of the Modelfile", async () => {
    const { code, err } = await create("own", `FROM ${tiny.model}\nPARAMETER mirostat 1`);
    expect(code).toBe(0);
    expect(err).toMatch(/^Warning: .*mirostat/);
  });

  it.each([
    [
      "a type that there is not",
      ["own", "FROM pico", "-q", "q9"],
      2,
      /There is no quantisation type "q9"\.\nChoose one of q4_0/,
    ],
    [
      "a type that projectors have not",
      ["own", "FROM pico", "--quantize-projector", "q4_0"],
      2,
      /cannot be stored as "q4_0"/,
    ],
    ["a name that is none", ["own model", "FROM pico"], 2, /'own model' is not the name of a model/],
    ["a path", ["./own", "FROM pico"], 2, /'\.\/own' is not the name of a model/],
    ["the name of the model that ships", ["Pico", "FROM pico"], 2, /comes with mull/],
    [
      "a file that is not there",
      ["own", "FROM ./gone.gguf"],
      2,
      /names '\.\/gone\.gguf', which is not there/,
    ],
    ["no FROM", ["own", "SYSTEM x"], 2, /FROM/],
    ["an unknown instruction", ["own", "FROM pico\nFORM x"], 2, /line 2.*FORM/],
    ["an unknown parameter", ["own", "FROM pico\nPARAMETER heat 1"], 2, /line 2.*heat/],
    ["nothing", ["own", ""], 2, /FROM/],
  ])(
    "refuses %s before it does anything",
    async (_, [name = "", modelfile = "", ...flags], code, message) => {
      const ran = await create(name, modelfile, ...flags);
      expect([ran.code, ran.out]).toEqual([code, ""]);
      expect(ran.err).toMatch(message);
      expect(ran.err).not.toContain("gathering");
      expect(existsSync(home.store.paths.root)).toBe(false);
    },
  );

  it("says that there is no Modelfile", async () => {
    const { code, err } = await home.run("create", "own", "-f", join(home.path, "gone"));
    expect(code).toBe(2);
    expect(err).toMatch(/^Error: There is no Modelfile at .*\nName it with -f/);
  });

  it("does not hide a model behind a saved conversation", async () => {
    await saveModel("ada", { load: { model: "pico" }, generation: {}, messages: [] }, home.env);
    const { code, err } = await create("ADA", "FROM pico");
    expect([code, err]).toEqual([2, expect.stringContaining("mull rm ada")]);
  });
});

describe("mull cp, mull rm", () => {
  it("give a second name, and take names away: the last one takes the blobs along", async () => {
    await create("own", `FROM ${tiny.model}`);
    expect(await home.run("cp", "own", "other:v2")).toMatchObject({
      code: 0,
      err: "copied 'own' to 'other:v2'\n",
    });
    expect(await listed()).toEqual(["other:v2", "own:latest"]);
    expect(await home.run("rm", "OWN")).toMatchObject({ code: 0, err: "deleted 'OWN' (0 B freed)\n" });
    expect((await home.run("show", "other:v2")).code).toBe(0);
    expect((await home.run("rm", "other:v2")).err).toMatch(/^deleted 'other:v2' \(\d+ B freed\)\n$/);
    expect(readdirSync(home.store.paths.blobs)).toEqual([]);
  });

  it("remove what is there of several, and fail for what is not", async () => {
    await writeModel(home.store, "one", ["a"]);
    await writeModel(home.store, "two", ["b"]);
    await saveModel("ada", { load: { model: "pico" }, generation: {}, messages: [] }, home.env);
    const { code, err } = await home.run("rm", "one", "gone", "two", "ada");
    expect(code).toBe(3);
    expect(err).toMatch(
      /^deleted 'one' .*\nError: There is no model gone:latest in the store\.\n.*\ndeleted 'two' .*\ndeleted 'ada'\n$/,
    );
    expect(await listed()).toEqual([]);
  });

  it("remove a model whose manifest is damaged", async () => {
    await writeModel(home.store, "one", ["a"]);
    writeFileSync(home.store.paths.manifest(nameOf("one")), "");
    expect((await home.run("rm", "one")).code).toBe(0);
    expect((await home.run("list")).code).toBe(0);
  });

  it.each([
    [["cp", "gone", "other"], 3, /There is no model gone:latest in the store/],
    [["cp", "own", "pico"], 2, /comes with mull/],
    [["cp", "./own.gguf", "x"], 2, /not the name of a model/],
    [["cp", "own"], 2, /missing required argument/],
    [["rm"], 2, /missing required argument/],
    [["rm", "pico"], 3, /There is no model pico:latest in the store/],
    [["rm", "../../etc"], 2, /not the name of a model/],
  ])("%j is refused", async (args, code, message) => {
    await writeModel(home.store, "own", ["a"]);
    const ran = await home.run(...args);
    expect([ran.code, ran.err]).toEqual([code, expect.stringMatching(message)]);
    expect(await listed()).toEqual(["own:latest"]);
  });
});

describe("mull import", () => {
  it("takes Ollama's model in by name, with its ID, and the file stays", async () => {
    const { id } = putOllamaModel(home.env["OLLAMA_MODELS"] ?? "", { model: "llava" }, [
      { kind: "model", content: readFileSync(tiny.model) },
      { kind: "system", content: "Be brief." },
    ]);
    const { code, err } = await home.run("import", "llava");
    expect([code, err]).toEqual([0, expect.stringMatching(/success\nimported as 'llava:latest'\n$/)]);
    expect((await home.store.find(nameOf("llava")))?.digest).toBe(id);
    expect(await findProblems(home.store)).toEqual([]);
  });

  it("takes a file in by path, under the name that is asked for; linked, or copied", async () => {
    const path = put(join(home.path, "x-Q4_0.gguf"), readFileSync(tiny.model));
    expect((await home.run("import", path, "--name", "own:v1")).err).toContain("imported as 'own:v1'");
    expect(statSync(path).nlink).toBe(2);
    expect((await home.run("import", path)).err).toContain("imported as 'x:Q4_0'");
    await home.run("rm", "own:v1", "x:Q4_0");
    expect(statSync(path).nlink).toBe(1);
    expect((await home.run("import", path, "--copy")).code).toBe(0);
    expect(statSync(path).nlink).toBe(1);
  });

  it.each([
    [
      ["import", "nobody/has"],
      3,
      /No other program keeps a model called "nobody\/has" here\.\n.*mull list --all.*mull pull nobody\/has/,
    ],
    [["import", "./gone.gguf"], 3, /no such file/],
    [["import", "What is it?"], 2, /not the name of a model/],
  ])("%j is refused", async (args, code, message) => {
    expect(await home.run(...args)).toMatchObject({ code, err: expect.stringMatching(message) });
  });
});

describe("mull verify", () => {
  it("says that all is well", async () => {
    expect(await home.run("verify")).toMatchObject({
      code: 0,
      out: "0 files intact, 0 damaged or missing (0 B read).\n",
    });
    await writeModel(home.store, "one", ["aaa", "bbb"]);
    expect(await home.run("verify")).toMatchObject({
      code: 0,
      out: "3 files intact, 0 damaged or missing (8 B read).\n",
    });
  });

  it("names what is damaged, missing or unreadable, the models that need it, and what to do", async () => {
    await writeModel(home.store, "one", ["aaa", "bbb"]);
    await writeModel(home.store, "two", ["bbb"]);
    await writeModel(home.store, "three", ["ccc"]);
    writeFileSync(home.store.paths.blob(textDigest("aaa")), "aab");
    rmSync(home.store.paths.blob(textDigest("bbb")));
    writeFileSync(home.store.paths.manifest(nameOf("three")), "{}");
    const { code, out } = await home.run("verify");
    expect(code).toBe(1);
    const short = (text: string): string => textDigest(text).slice(7, 19);
    const lines = out.trimEnd().split("\n");
    expect(new Set(lines.slice(0, 3))).toEqual(
      new Set([
        `damaged: ${short("aaa")} (one:latest): its content is not what its name says`,
        `missing: ${short("bbb")} (one:latest, two:latest)`,
        `unreadable: ${home.store.paths.manifest(nameOf("three"))} (three:latest): it is not the manifest of a model: its schemaVersion is not 2.`,
      ]),
    );
    expect(lines[3]).toBe("2 files intact, 3 damaged or missing (8 B read).");
    expect(lines[4]).toMatch(/^To repair three:latest, .*: mull verify --repair$/);
    // What was damaged has been taken away: nothing uses it.
    expect((await home.run("verify")).out).toContain(`missing: ${short("aaa")}`);
  });

  it("is no failure for what no model needs", async () => {
    await writeModel(home.store, "one", ["aaa"]);
    await home.store.writeBlob(new TextEncoder().encode("left over"));
    expect((await home.run("verify")).code).toBe(0);
  });
});

describe("mull prune", () => {
  it("removes what no model needs, and says how much that was", async () => {
    await writeModel(home.store, "one", ["aaa"]);
    await home.store.writeBlob(new TextEncoder().encode("left over"));
    expect(await home.run("prune")).toMatchObject({
      code: 0,
      out: "Removed 1 file that no model needs: 9 B.\n",
    });
    expect(await home.run("prune")).toMatchObject({
      code: 0,
      out: "Removed 0 files that no model needs: 0 B.\n",
    });
    expect((await home.run("verify")).code).toBe(0);
  });

  it("removes unfinished downloads only when asked", async () => {
    const { paths } = home.store;
    const stem = textDigest("aaa").slice(7);
    mkdirSync(paths.partial, { recursive: true });
    for (const ending of ["data", "journal"]) writeFileSync(join(paths.partial, `${stem}.${ending}`), "xxxx");
    await home.run("prune");
    expect(readdirSync(paths.partial)).toHaveLength(2);
    expect((await home.run("prune", "--partials")).code).toBe(0);
    expect(readdirSync(paths.partial)).toEqual([]);
  });
});

describe("a store that is no folder", () => {
  it("is an error of every command that says what to do", async () => {
    writeFileSync(join(home.path, "store"), "I am a file.");
    for (const args of [["create", "own"], ["cp", "a", "b"], ["rm", "a"], ["prune"]]) {
      const ran = await home.runWith(
        { stdin: "FROM pico" },
        ...args,
        ...(args[0] === "create" ? ["-f", "-"] : []),
      );
      expect([args, ran.code, ran.err]).toEqual([
        args,
        expect.any(Number),
        expect.stringContaining("Error: "),
      ]);
      expect(ran.code).not.toBe(0);
      expect(ran.code).not.toBe(70);
    }
  });
});

describe("layers", () => {
  it("of a model made from another are the same blobs", async () => {
    await create("own", `FROM ${tiny.model}`);
    await create("other", "FROM own\nSYSTEM x");
    const [own, other] = await Promise.all(["own", "other"].map((name) => home.store.find(nameOf(name))));
    expect(layersOf(other!.manifest, "model")).toEqual(layersOf(own!.manifest, "model"));
  });
});
