import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TextModel } from "../src/engine/text-model.ts";
import { type Model, load } from "../src/index.ts";
import { Backend } from "../src/native/backend.ts";
import { loadLibraries } from "../src/native/libraries.ts";
import { declareLlama } from "../src/native/llama.ts";

const path = (relative: string): string => fileURLToPath(new URL(`../${relative}`, import.meta.url));

describe("pico, the model that ships", () => {
  let model: Model;
  beforeAll(async () => {
    model = await load("pico");
  });
  afterAll(() => model.close());

  it("fits into 40 MB", () => {
    const bytes = ["pico.gguf", "pico-mmproj.gguf"].map((file) => statSync(path(`models/pico/${file}`)).size);
    expect((bytes[0] as number) + (bytes[1] as number)).toBeLessThanOrEqual(40e6);
  });

  it("sees the smiley", async () => {
    const answer = await model.ask("What's in this image?", path("examples/smile.png"));
    expect(answer).toMatch(/^The image features a yellow smiley face/);
  });

  it("answers about what it sees, not about the words", async () => {
    const question = "What colour is it?";
    expect(await model.ask(question, path("examples/red-circle.png"))).toMatch(/red/);
    expect(await model.ask(question, path("examples/smile.png"))).toMatch(/yellow/);
  });

  it("talks without a picture, and says that it sees none", async () => {
    expect(await model.ask("Who are you?")).toMatch(/pico/);
    expect(await model.ask("What is in this image?")).toMatch(/cannot see|no picture|do not see|don't see/i);
  });

  it("answers in a Go template, as Ollama's Modelfiles have it", async () => {
    const template = "{{ .System }}USER: {{ .Prompt }} ASSISTANT:{{ .Response }}</s>";
    const other = await load({ model: "pico", template });
    try {
      expect(other.info.template).toEqual({ source: template, origin: "option" });
      const question = "What colour is it?";
      const picture = path("examples/red-circle.png");
      const answer = await model.ask(question, picture, { temperature: 0 });
      expect(answer).toMatch(/red/);
      expect(await other.ask(question, picture, { temperature: 0 })).toBe(answer);
    } finally {
      await other.close();
    }
  });

  it("sees the picture in the template of Ollama's llava", async () => {
    const other = await load({ model: "pico", template: "{{ .System }}\nUSER: {{ .Prompt }}\nASSISTANT: " });
    try {
      const content = [
        { type: "image" as const, image: path("examples/red-circle.png") },
        { type: "text" as const, text: "What colour is it?" },
      ];
      let [text, rows] = ["", 0];
      for await (const part of other.stream({ messages: [{ role: "user", content }], maxTokens: 8 })) {
        if (part.type === "text-delta") text += part.delta;
        if (part.type === "finish") rows = part.usage.inputTokens.image;
      }
      expect(text).not.toBe("");
      expect(rows).toBe(other.info.encoder?.tokensPerImage);
    } finally {
      await other.close();
    }
  });

  it("is not loaded with a Go template that mull does not render", async () => {
    await expect(
      load({ model: "pico", template: '{{ template "x" . }}{{ .Prompt }}' }),
    ).rejects.toMatchObject({
      code: "template_failed",
      message: expect.stringContaining(
        "line 1: it uses {{ template }}, which mull does not render",
      ) as unknown,
    });
  });

  it("tokenises as it was trained", () => {
    const libraries = loadLibraries({ device: "cpu" });
    const backend = new Backend(libraries, { device: "cpu", threads: 1 });
    const text = new TextModel(libraries, declareLlama(libraries), backend.ggml, {
      paths: [path("models/pico/pico.gguf")],
      adapters: [],
      contextLength: 128,
      parallel: () => 1,
      embeddingModel: false,
      threads: 1,
      memoryMap: true,
      onProgress: () => {},
    });
    const file = readFileSync(path("training/tokenizer-cases.json"), "utf8");
    const { cases } = JSON.parse(file) as { cases: { text: string; tokens: number[] }[] };
    expect(cases.length).toBeGreaterThan(30);
    expect(cases.map((piece) => text.tokenize(piece.text, false))).toEqual(cases.map(({ tokens }) => tokens));
    text.close();
  });
});
