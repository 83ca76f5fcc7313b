import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as weights from "../src/engine/quantize-model.ts";
import { type Model, load } from "../src/index.ts";
import { createModel } from "../src/store/create/create-model.ts";
import { recipeOf } from "../src/store/create/recipe.ts";
import { parseModelfile } from "../src/store/modelfile/parse-modelfile.ts";
import { openStore } from "../src/store/open-store.ts";
import { saveModel } from "../src/store/saved-model.ts";
import { newStoreRoot } from "./support/new-store.ts";
import { bytesOf, nameOf } from "./support/store-models.ts";

const smile = fileURLToPath(new URL("../examples/smile.png", import.meta.url));
const before = { ...process.env };

async function create(name: string, modelfile: string, quantize?: string): Promise<void> {
  const recipe = recipeOf(parseModelfile(bytesOf(modelfile), "Modelfile").modelfile, "/");
  await createModel(openStore({ env: process.env }), nameOf(name), recipe, {
    env: process.env,
    weights,
    fetchModel: async () => {},
    ...(quantize === undefined ? {} : { quantize }),
  });
}

beforeAll(async () => {
  process.env["MULL_MODELS"] = newStoreRoot();
  process.env["XDG_DATA_HOME"] = mkdtempSync(join(tmpdir(), "mull-data-"));
  const lines = [
    "FROM pico",
    "TEMPLATE {{ .System }}|{{ range .Messages }}{{ .Role }}: {{ .Content }}|{{ end }}",
    "SYSTEM Be brief.",
    "PARAMETER temperature 0",
    "PARAMETER num_predict 3",
    "PARAMETER num_ctx 300",
    "MESSAGE user Hi",
    "MESSAGE assistant Hello",
  ];
  await create("mine", lines.join("\n"));
  await create("small", "FROM pico\nPARAMETER temperature 0", "q8_0");
});
afterAll(() => {
  process.env = before;
});

describe("a model of the store, loaded by its name", () => {
  let model: Model;
  beforeAll(async () => {
    model = await load("MINE");
  });
  afterAll(() => model.close());

  it("says what is set for it", () => {
    expect(model.info).toMatchObject({
      name: "mine:latest",
      contextLength: 300,
      input: ["text", "image"],
      template: { origin: "option" },
      defaults: {
        system: "Be brief.",
        generation: { temperature: 0, maxTokens: 3 },
        messages: [
          { role: "user", content: "Hi" },
          { role: "assistant", content: "Hello" },
        ],
      },
    });
  });

  it("answers with it, and as the request says where that says something", async () => {
    const finish = async (request: object): Promise<{ input: number; output: number }> => {
      for await (const part of model.stream({
        messages: [{ role: "user", content: "Who are you?" }],
        ...request,
      })) {
        if (part.type === "finish")
          return { input: part.usage.inputTokens.total, output: part.usage.outputTokens };
      }
      throw new Error("no end");
    };
    const plain = await finish({});
    expect(plain.output).toBeLessThanOrEqual(3);
    expect((await finish({ maxTokens: 1 })).output).toBe(1);
    const long = [
      { role: "system", content: "Be very, very, very long." },
      { role: "user", content: "Who are you?" },
    ];
    expect((await finish({ messages: long })).input).toBeGreaterThan(plain.input);
    expect((await finish({ raw: true })).input).toBeLessThan(plain.input);
  });

  it("counts them in the prompt", async () => {
    const own = await model.countTokens({ messages: [{ role: "user", content: "x" }] });
    const raw = await model.countTokens({ messages: [{ role: "user", content: "x" }], raw: true });
    expect(own.total).toBeGreaterThan(raw.total + 5);
  });
});

describe("pico's weights in a store", () => {
  it("see what pico sees, quantised too", async () => {
    const model = await load("small");
    try {
      expect(model.info.quantization).toBe("Q8_0");
      expect(await model.ask("What colour is it?", smile)).toMatch(/yellow/);
    } finally {
      await model.close();
    }
  });

  it("are found by a saved conversation about them", async () => {
    const messages = [{ role: "user" as const, content: "Hi" }];
    await saveModel("ada", { load: { model: "small" }, generation: { maxTokens: 2 }, messages }, process.env);
    const model = await load("ada");
    try {
      expect(model.info.defaults).toEqual({ generation: { temperature: 0, maxTokens: 2 }, messages });
    } finally {
      await model.close();
    }
  });

  it("load with what the caller says, before what is set for them", async () => {
    const model = await load("mine", { contextLength: 400, template: "vicuna_v1" });
    try {
      expect(model.info.contextLength).toBe(400);
      expect(model.info.template).toMatchObject({ origin: "vicuna_v1" });
    } finally {
      await model.close();
    }
  });
});

describe("a name that nobody knows", () => {
  it("is an error that says how to get the model; nothing is downloaded", async () => {
    await expect(load("nowhere")).rejects.toMatchObject({
      code: "model_not_found",
      hint: expect.stringContaining("mull pull nowhere"),
    });
  });
});
