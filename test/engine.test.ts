import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testPicture } from "../bench/test-picture.ts";
import { type Model, type StreamPart, type StreamRequest, load } from "../src/index.ts";
import { temporaryFolder, tinyPair } from "./support/tiny-models.ts";
import { isAlive } from "./support/is-alive.ts";

const folder = temporaryFolder();
let files: { model: string; projector: string };
let model: Model;

beforeAll(async () => {
  files = await tinyPair(folder.path);
  model = await load(files);
});
afterAll(() => model.close());

const picture = (seed = 1): Uint8Array => testPicture(60, 40, seed);
const question = (text: string, ...pictures: Uint8Array[]): StreamRequest["messages"] => [
  {
    role: "user",
    content: [...pictures.map((image) => ({ type: "image" as const, image })), { type: "text", text }],
  },
];

async function collect(
  request: StreamRequest,
  from: Model = model,
): Promise<{ text: string; parts: StreamPart[]; finish: Extract<StreamPart, { type: "finish" }> }> {
  const parts: StreamPart[] = [];
  for await (const part of from.stream(request)) parts.push(part);
  const text = parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("");
  return { text, parts, finish: parts.at(-1) as Extract<StreamPart, { type: "finish" }> };
}

describe("an answer", () => {
  it("comes as progress, receipt, text and one finish", async () => {
    const { parts, finish } = await collect({ messages: question("What is this?", picture()), maxTokens: 8 });
    const kinds = [...new Set(parts.map(({ type }) => type))];
    expect(kinds).toEqual(["progress", "media", "text-start", "text-delta", "text-end", "finish"]);
    expect(finish).toMatchObject({
      reason: "length",
      usage: { outputTokens: 8, inputTokens: { image: 16 } },
    });
    const media = parts.find((part) => part.type === "media");
    expect(media?.receipt).toMatchObject({
      name: "image 1",
      format: "png",
      original: { width: 60, height: 40 },
      seen: { width: 32, height: 32 },
      tokens: 16,
      cached: false,
    });
    expect(media?.receipt.steps.map(({ action }) => action)).toEqual(["padded", "resized"]);
  });

  it("is the same for the same bytes, whatever was asked before", async () => {
    const request = { messages: question("Describe it.", picture(3)), maxTokens: 24 };
    const fresh = await load(files);
    try {
      const alone = await collect(request, fresh);
      await collect({ messages: question("Something else entirely?", picture(9)), maxTokens: 5 });
      expect((await collect(request)).text).toBe(alone.text);
      expect((await collect(request)).text).toBe(alone.text);
    } finally {
      await fresh.close();
    }
  });

  it("depends on the picture", async () => {
    const answers = new Set<string>();
    for (const seed of [1, 2, 3, 4]) {
      answers.add((await collect({ messages: question("What?", picture(seed)), maxTokens: 16 })).text);
    }
    expect(answers.size).toBeGreaterThan(1);
  });

  it("follows a seed when it samples", async () => {
    const messages = question("What?", picture());
    const sample = async (seed: number): Promise<string> =>
      (await collect({ messages, temperature: 1.5, topK: 0, topP: 1, minP: 0, seed, maxTokens: 16 })).text;
    expect(await sample(1)).toBe(await sample(1));
    expect(await sample(1)).not.toBe(await sample(2));
  });

  it("ends before a stop string", async () => {
    const messages = question("What?", picture());
    const whole = (await collect({ messages, maxTokens: 40 })).text;
    const stop = whole.slice(10, 13);
    const { text, finish } = await collect({ messages, maxTokens: 40, stop: [stop] });
    expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(finish.reason).toBe("stop");
  });

  it("takes several pictures in the order given", async () => {
    const [a, b] = [picture(1), picture(2)];
    const ab = await collect({ messages: question("Which?", a, b), maxTokens: 16 });
    const ba = await collect({ messages: question("Which?", b, a), maxTokens: 16 });
    expect(ab.finish.usage.inputTokens.image).toBe(32);
    expect(ab.parts.filter(({ type }) => type === "media")).toHaveLength(2);
    expect(ab.text).not.toBe(ba.text);
  });

  it("reuses what the next turn of a chat shares with the last, and says so", async () => {
    const fresh = await load(files);
    try {
      const first = await collect({ messages: question("What is this?", picture(5)), maxTokens: 4 }, fresh);
      const second = await collect({ messages: question("What colour?", picture(5)), maxTokens: 4 }, fresh);
      expect(first.finish.usage.inputTokens.cached).toBe(0);
      expect(second.finish.usage.inputTokens.cached).toBeGreaterThan(16);
      expect(second.parts.find((part) => part.type === "media")?.receipt.cached).toBe(true);
    } finally {
      await fresh.close();
    }
  });

  it("keeps requests that overlap apart", async () => {
    const request = (seed: number): StreamRequest => ({
      messages: question("What?", picture(seed)),
      maxTokens: 12,
    });
    const alone = [];
    for (const seed of [1, 2, 3]) alone.push((await collect(request(seed))).text);
    const together = await Promise.all([1, 2, 3].map((seed) => collect(request(seed))));
    expect(together.map(({ text }) => text)).toEqual(alone);
  });

  it("is a string from ask()", async () => {
    const answer = await model.ask("What is this?", picture(), { maxTokens: 6, temperature: 0 });
    expect(answer.length).toBeGreaterThan(0);
  });

  it("begins with the model's BOS, also when a picture comes first", async () => {
    const plain = await load({ ...files, template: "plain" });
    try {
      const only = { role: "user" as const, content: [{ type: "image" as const, image: picture() }] };
      const { finish } = await collect({ messages: [only], maxTokens: 2 }, plain);
      expect(finish.usage.inputTokens).toMatchObject({ image: 16, text: 1 });
    } finally {
      await plain.close();
    }
  });

  it("can be previewed as a receipt without inference", async () => {
    const receipt = await model.inspect(picture(), { name: "mine.png" });
    expect(receipt).toMatchObject({ name: "mine.png", tokens: 16, seen: { width: 32, height: 32 } });
    expect(receipt).not.toHaveProperty("cached");
  });
});

describe("what cannot be answered", () => {
  it("says what an overlong prompt needs, and the next request works", async () => {
    const messages = question("word ".repeat(400), picture(), picture(2));
    await expect(collect({ messages })).rejects.toMatchObject({
      code: "context_overflow",
      message: expect.stringMatching(
        /needs \d+ tokens \(32 for 2 pictures, \d+ for text, 1 for the answer\)/,
      ),
    });
    await collect({ messages: question("What?"), maxTokens: 2 });
  });

  it("refuses a picture for a text-only model", async () => {
    const textOnly = await load({ model: files.model });
    try {
      await expect(textOnly.ask("What?", picture())).rejects.toMatchObject({ code: "unsupported_modality" });
      await expect(textOnly.inspect(picture())).rejects.toMatchObject({ code: "unsupported_modality" });
      expect(await textOnly.ask("Hello", { maxTokens: 3 })).toBeTypeOf("string");
    } finally {
      await textOnly.close();
    }
  });

  it("refuses a part of unknown type instead of dropping it", async () => {
    const messages = [{ role: "user", content: [{ type: "audio", audio: picture() }] }] as never;
    await expect(collect({ messages })).rejects.toMatchObject({ code: "unsupported_modality" });
  });

  it("refuses options out of range", async () => {
    await expect(collect({ messages: question("x"), topP: 7 })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});

describe("cancelling", () => {
  const long: Omit<StreamRequest, "signal"> = {
    messages: question("Tell me more.", picture()),
    maxTokens: 300,
  };

  it("ends the stream at once and leaves the engine ready", async () => {
    const controller = new AbortController();
    const parts: StreamPart[] = [];
    const run = async (): Promise<void> => {
      for await (const part of model.stream({ ...long, signal: controller.signal })) {
        parts.push(part);
        if (part.type === "text-delta") controller.abort(new Error("enough"));
      }
    };
    await expect(run()).rejects.toThrow("enough");
    expect(parts.at(-1)?.type).toBe("text-delta");
    const request = { messages: question("What is this?", picture(3)), maxTokens: 10 };
    const fresh = await load(files);
    try {
      expect((await collect(request)).text).toBe((await collect(request, fresh)).text);
    } finally {
      await fresh.close();
    }
  });

  it("also happens when the loop is left", async () => {
    for await (const part of model.stream(long)) if (part.type === "text-delta") break;
    expect((await collect({ messages: question("Hi"), maxTokens: 2 })).finish.usage.outputTokens).toBe(2);
  });

  it("also ends a request that still waits for its turn", async () => {
    const first = collect(long);
    const waiting = collect({ ...long, signal: AbortSignal.timeout(5) });
    await expect(waiting).rejects.toMatchObject({ name: "TimeoutError" });
    expect((await first).finish.usage.outputTokens).toBeGreaterThan(0);
  });
});

describe("a crash of the engine", () => {
  it("fails the answer in flight with signal and code, and the next request works", async () => {
    const fragile = await load(files);
    try {
      const run = async (): Promise<void> => {
        for await (const part of fragile.stream({ messages: question("x".repeat(50)), maxTokens: 400 })) {
          if (part.type === "text-delta") process.kill(fragile.enginePid as number, "SIGKILL");
        }
      };
      await expect(run()).rejects.toMatchObject({
        code: "engine_crashed",
        exitCode: 70,
        details: { signal: "SIGKILL" },
      });
      expect(
        (await collect({ messages: question("Again"), maxTokens: 3 }, fragile)).finish.usage.outputTokens,
      ).toBe(3);
    } finally {
      await fragile.close();
    }
  });

  it("leaves no process behind after close()", async () => {
    const short = await load(files);
    const pid = short.enginePid as number;
    await short.close();
    for (let tries = 0; tries < 100 && isAlive(pid); tries++) await sleep(20);
    expect(isAlive(pid)).toBe(false);
    await expect(short.ask("still there?")).rejects.toMatchObject({ code: "closed" });
  });
});

describe("loading", () => {
  it("reports progress in bytes", async () => {
    const seen: [number, number][] = [];
    const loaded = await load({ ...files, onProgress: (completed, total) => seen.push([completed, total]) });
    await loaded.close();
    expect(seen.at(-1)?.[0]).toBe(loaded.info.fileBytes);
    expect(seen.every(([completed, total]) => completed <= total)).toBe(true);
  });

  it("can be aborted", async () => {
    await expect(load({ ...files, signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
  });

  it("names near models for an unknown name", async () => {
    await expect(load("pcio")).rejects.toMatchObject({
      code: "model_not_found",
      hint: expect.stringContaining("pico"),
    });
  });

  it("refuses a projector of another model", async () => {
    const other = await tinyPair(folder.path, { projector: { textEmbedding: 96 } });
    await expect(load({ model: files.model, projector: other.projector })).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/width 96.*width 64/),
    });
  });

  it("refuses a projector given as a model, and a model as a projector", async () => {
    await expect(load({ model: files.projector })).rejects.toMatchObject({ code: "invalid_model" });
    await expect(load({ model: files.model, projector: files.model })).rejects.toMatchObject({
      code: "invalid_model",
    });
  });

  it("refuses a damaged file before native code sees it", async () => {
    const whole = await readFile(files.model);
    const path = join(folder.path, "damaged.gguf");
    for (const damage of [
      whole.subarray(0, whole.length >> 1),
      whole.subarray(0, 100),
      Buffer.alloc(0),
      Buffer.from("GGUX" + "\0".repeat(100)),
    ]) {
      await writeFile(path, damage);
      await expect(load({ model: path })).rejects.toMatchObject({ code: "invalid_model" });
    }
  });

  it.each([
    ["encoderPrecision", "q2"],
    ["contextLength", 3],
    ["threads", 0],
    ["device", "tpu"],
    ["template", "vicuna"],
  ])("refuses %s = %s", async (name, value) => {
    await expect(load({ ...files, [name]: value })).rejects.toMatchObject({ code: "invalid_argument" });
  });
});
