import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { writeRandomAdapter } from "../../../bench/random-adapter.ts";
import { splitModel } from "../../../test/support/split-model.ts";
import { newStoreHome, type StoreHome } from "../../../test/support/store-home.ts";
import { nameOf } from "../../../test/support/store-models.ts";
import { temporaryFolder, tinyPair } from "../../../test/support/tiny-models.ts";
import { putOllamaModel } from "../../../test/support/tiny-store.ts";
import { readGguf } from "../../gguf/read.ts";
import { saveModel } from "../../store/saved-model.ts";

const folder = temporaryFolder();
let home: StoreHome;
let tiny = { model: "", projector: "" };
let templated = "";
let adapter = "";
let split: readonly string[] = [];

beforeAll(async () => {
  tiny = await tinyPair(folder.path);
  templated = (await tinyPair(folder.path, { text: { chatTemplate: "{{ messages[0].content }}" } })).model;
  adapter = join(folder.path, "adapter.gguf");
  const shape = { rank: 2, alpha: 4, tensors: ["blk.0.attn_q.weight"], seed: 3 };
  await writeRandomAdapter(adapter, await readGguf(tiny.model), shape);
  split = await splitModel(tiny.model, join(folder.path, "split.gguf"), 8);
});
beforeEach(() => {
  home = newStoreHome(folder.path);
});

async function create(name: string, ...lines: string[]): Promise<void> {
  const { code, err } = await home.runWith({ stdin: lines.join("\n") }, "create", name, "-f", "-");
  expect([code, err]).toEqual([0, expect.stringContaining("success")]);
}

const settings = (): string[] => [
  "SYSTEM Be brief.",
  "PARAMETER stop x y",
  "PARAMETER temperature 0.3",
  "PARAMETER seed -1",
  "PARAMETER use_mmap true",
  'MESSAGE user """Hi\nthere"""',
  "MESSAGE assistant Hello",
  "LICENSE MIT",
  "LICENSE Apache",
];

describe("mull show", () => {
  it("prints what is known of the model that ships", async () => {
    const { code, out, err } = await home.run("show", "pico");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/architecture +llama\n/);
    expect(out).toMatch(/parameters +2\.52M\n/);
    expect(out).toMatch(/quantization +F16\n/);
    expect(out).toMatch(/size in memory +\d+ MB with a context of 1024\n/);
    expect(out).toMatch(/Projector\n +type +mlp\n +image size +128 pixels\n/);
    expect(out).toMatch(/Capabilities\n +completion\n +vision\n/);
    expect(out).toMatch(/in +text, image\n +out +text\n/);
  });

  it("prints what is set for a model of the store, its adapters and parts", async () => {
    const parts = split.map((part) => `FROM ${part}`);
    await create("own", ...parts, `FROM ${tiny.projector}`, `ADAPTER ${adapter}`, ...settings());
    const { code, out } = await home.run("show", "own");
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`files +${split.length}\n`));
    expect(out).toMatch(/adapters +1\n/);
    expect(out).toMatch(/kept by +mull\n/);
    expect(out).toMatch(/Parameters\n[^]*stop +"x y"\n/);
    expect(out).toMatch(/System\n +Be brief\.\n/);
    expect(out).toMatch(/License\n +MIT\n/);
  });

  it("prints an embedding model's, and a file's with its projector", async () => {
    const { model } = await tinyPair(folder.path, { text: { pooling: "mean" } });
    expect((await home.run("show", model)).out).toMatch(/Capabilities\n +embedding\n[^]*out +vectors\n/);
    const alone = await home.run("show", tiny.model);
    expect(alone.out).toMatch(/in +text\n/);
    expect(alone.out).not.toContain("kept by");
    const both = await home.run("show", tiny.model, "--projector", tiny.projector);
    expect(both.out).toMatch(/in +text, image\n/);
  });

  it("prints a model of Ollama's, and one of a saved conversation", async () => {
    putOllamaModel(home.env["OLLAMA_MODELS"] ?? "", { model: "llava" }, [
      { kind: "model", content: readFileSync(tiny.model) },
      { kind: "params", content: '{"temperature": 0.5, "mirostat": 1}' },
    ]);
    const ollamas = await home.run("show", "llava");
    expect(ollamas.out).toMatch(/kept by +Ollama\n/);
    expect(ollamas.out).toContain("The parameter 'mirostat' of this model is ignored.");
    await saveModel("ada", { load: { model: "pico" }, generation: { topK: 3 }, messages: [] }, home.env);
    const saved = await home.run("show", "ada");
    expect(saved.out).toMatch(/kept by +a saved conversation\n/);
    expect(saved.out).toMatch(/top_k +3\n/);
  });

  it("prints one part alone", async () => {
    await create("own", `FROM ${tiny.model}`, "TEMPLATE chatml_direct", ...settings());
    expect((await home.run("show", "own", "--system")).out).toBe("Be brief.\n");
    expect((await home.run("show", "own", "--license")).out).toBe("MIT\nApache\n");
    expect((await home.run("show", "own", "--template")).out).toContain("<|im_start|>");
    const { out } = await home.run("show", "own", "--parameters");
    expect(out).toMatch(/^seed +-1\ntemperature +0\.3\nuse_mmap +true\nstop +"x y"\n$/);
    expect((await home.run("show", "pico", "--system")).out).toBe("");
    expect((await home.run("show", "own", "--system", "--license")).code).toBe(2);
  });

  it("prints one JSON object", async () => {
    await create("own", `FROM ${tiny.model}`, ...settings());
    const { out } = await home.run("show", "own", "--json");
    expect(JSON.parse(out)).toMatchObject({
      name: "own:latest",
      place: "store",
      system: "Be brief.",
      licenses: ["MIT", "Apache"],
      facts: { architecture: "llama", capabilities: ["completion"] },
      memory: { total: expect.any(Number) },
    });
  });

  it("says what it cannot show, and why", async () => {
    const missing = await home.run("show", "pica");
    expect(missing.code).toBe(3);
    expect(missing.err).toMatch(/^Error: There is no model called "pica"\.\nDid you mean pico\?/);
    const text = join(home.path, "text.gguf");
    writeFileSync(text, "I am text.");
    expect(await home.run("show", text)).toMatchObject({
      code: 1,
      err: expect.stringContaining("not a GGUF"),
    });
    expect(await home.run("show", join(home.path, "gone.gguf"))).toMatchObject({ code: 3 });
  });
});

describe("mull show --modelfile", () => {
  const cases: [what: string, lines: () => string[]][] = [
    [
      "a pair, with all that can be set",
      () => [`FROM ${tiny.model}`, `PROJECTOR ${tiny.projector}`, ...settings()],
    ],
    [
      "one with an adapter and a template",
      () => [`FROM ${tiny.model}`, `ADAPTER ${adapter}`, "TEMPLATE vicuna_v1"],
    ],
    ["a split one with a projector", () => [`FROM ${split[0]}`, `PROJECTOR ${tiny.projector}`]],
    ["one with a template of its own", () => [`FROM ${templated}`, ...settings()]],
    ["one whose texts end in quotes", () => [`FROM ${tiny.model}`, 'SYSTEM <<END\nSay """\nand more\nEND']],
    ["the one that ships", () => ["FROM pico"]],
  ];

  it.each(cases)("makes the same model again: %s", async (_, lines) => {
    await create("own", ...lines());
    const { out } = await home.run("show", "own", "--modelfile");
    await create("again", out);
    expect((await home.store.find(nameOf("again")))?.digest).toBe(
      (await home.store.find(nameOf("own")))?.digest,
    );
    // Also as Windows writes it.
    await home.run("rm", "again");
    await create("again", out.replaceAll("\n", "\r\n"));
    expect((await home.run("show", "again", "--modelfile")).out.replaceAll("again", "own")).toBe(out);
  });

  it("names the files, and the model that they are of", async () => {
    await create("own", `FROM ${tiny.model}`, "TEMPLATE vicuna_v1");
    const { out } = await home.run("show", "own", "--modelfile");
    expect(out).toMatch(
      /^# Modelfile generated by "mull show"\n# .*\n# FROM own:latest\nFROM \/.*sha256-[0-9a-f]{64}\n/,
    );
  });

  it("leaves a published template out that yields to the model's own", async () => {
    putOllamaModel(home.env["MULL_MODELS"] ?? "", { model: "with" }, [
      { kind: "model", content: readFileSync(templated) },
      { kind: "template", content: "{{ .Prompt }}" },
    ]);
    putOllamaModel(home.env["MULL_MODELS"] ?? "", { model: "without" }, [
      { kind: "model", content: readFileSync(tiny.model) },
      { kind: "template", content: "{{ .Prompt }}" },
    ]);
    expect((await home.run("show", "with", "--modelfile")).out).not.toContain("TEMPLATE");
    expect((await home.run("show", "without", "--modelfile")).out).toContain('TEMPLATE """{{ .Prompt }}"""');
  });
});
