import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testPicture } from "../bench/test-picture.ts";
import { type Model, type StreamPart, type StreamRequest, load } from "../src/index.ts";
import { temporaryFolder, tinyPair } from "./support/tiny-models.ts";

const folder = temporaryFolder();
let files: { model: string; projector: string };
const models: Model[] = [];

beforeAll(async () => {
  files = await tinyPair(folder.path);
});
afterAll(() => Promise.all(models.map((model) => model.close())));

async function open(options: Parameters<typeof load>[1] = {}): Promise<Model> {
  const model = await load({ ...files, diskCache: false, ...options });
  models.push(model);
  return model;
}

interface Heard {
  text: string;
  parts: StreamPart[];
  finish: Extract<StreamPart, { type: "finish" }>;
  cachedIn: (string | undefined)[];
}

async function hear(model: Model, request: StreamRequest): Promise<Heard> {
  const parts: StreamPart[] = [];
  for await (const part of model.stream(request)) parts.push(part);
  return {
    parts,
    text: parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join(""),
    finish: parts.at(-1) as Heard["finish"],
    cachedIn: parts.flatMap((part) => (part.type === "media" ? [part.receipt.cachedIn] : [])),
  };
}

const ask = (text: string, ...seeds: number[]): StreamRequest => ({
  messages: [
    {
      role: "user",
      content: [
        ...seeds.map((seed) => ({ type: "image" as const, image: testPicture(60, 40, seed) })),
        { type: "text", text },
      ],
    },
  ],
  maxTokens: 24,
});

describe("answers side by side", () => {
  const requests = Array.from({ length: 24 }, (_, index) =>
    ask(
      `Question ${index}, ${"which is longer than others ".repeat(index % 7)}?`,
      ...(index % 3 === 0 ? [] : [index, index % 5]),
    ),
  );

  it("are word for word what each would be alone, whatever runs beside it and whatever is cached", async () => {
    const single = await open({ parallel: 1 });
    const alone: string[] = [];
    for (const request of requests) alone.push((await hear(single, request)).text);
    const shared = await open({ parallel: 6 });
    for (let round = 0; round < 2; round++) {
      const together = await Promise.all(requests.map((request) => hear(shared, request)));
      expect(together.map(({ text }) => text)).toEqual(alone);
    }
    const { running, waiting } = await shared.stats();
    expect({ running, waiting }).toEqual({ running: 0, waiting: 0 });
  });

  it("are all written at the same time, a token each in turn", async () => {
    const model = await open({ parallel: 4 });
    const order: number[] = [];
    await Promise.all(
      [0, 1, 2, 3].map(async (number) => {
        for await (const part of model.stream({ ...ask(`Number ${number}`), maxTokens: 40 })) {
          if (part.type === "text-delta") order.push(number);
        }
      }),
    );
    const middle = order.slice(order.length >> 2, (3 * order.length) >> 2);
    expect(new Set(middle).size).toBe(4);
  });

  it("go on while a long prompt is read", async () => {
    const model = await open({ parallel: 2 });
    const order: string[] = [];
    const writing = (async () => {
      for await (const part of model.stream({ ...ask("Write."), maxTokens: 200 })) {
        if (part.type === "text-delta") order.push("delta");
      }
    })();
    while (order.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    for await (const part of model.stream({ ...ask("word ".repeat(60)), maxTokens: 1 })) {
      if (part.type === "progress" && part.stage === "prefill") order.push(`read ${part.completed}`);
    }
    await writing;
    const from = order.findIndex((event) => event.startsWith("read"));
    const until = order.findLastIndex((event) => event.startsWith("read"));
    expect(order.slice(from, until).filter((event) => event === "delta").length).toBeGreaterThan(2);
  });

  it("wait for a place when all are taken, and say how long", async () => {
    const model = await open({ parallel: 1 });
    const all = await Promise.all([1, 2, 3].map((number) => hear(model, ask(`Number ${number}`))));
    const waits = all.map(({ finish }) => finish.timings.queueMs).sort((a, b) => a - b);
    expect(waits[2]).toBeGreaterThan(waits[0] as number);
  });

  it("are fair between clients: a flood of one does not hold up the other", async () => {
    const model = await open({ parallel: 1 });
    const finished: string[] = [];
    const one = async (client: string, number: number): Promise<void> => {
      await hear(model, { ...ask(`${client} ${number}`), client });
      finished.push(client);
    };
    const flood = Array.from({ length: 12 }, (_, number) => one("flood", number));
    await flood[0];
    await one("single", 0);
    expect(finished.indexOf("single")).toBeLessThanOrEqual(3);
    await Promise.all(flood);
  });
});

describe("what is shared", () => {
  it("is read once for many who ask about one picture at the same time", async () => {
    const model = await open({ parallel: 8 });
    const picture = testPicture(60, 40, 77);
    const messages = (text: string): StreamRequest["messages"] => [
      { role: "system", content: "A system message that is long enough to be worth waiting for. ".repeat(3) },
      {
        role: "user",
        content: [
          { type: "image", image: picture },
          { type: "text", text },
        ],
      },
    ];
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, number) =>
        hear(model, { messages: messages(`What is ${number}?`), maxTokens: 4 }),
      ),
    );
    expect((await model.stats()).encodedImages).toBe(1);
    const cached = all.map(({ finish }) => finish.usage.inputTokens.cached).sort((a, b) => a - b);
    expect(cached[0]).toBe(0);
    expect(cached[1]).toBeGreaterThan(100);
  });

  it("is a picture's rows when another system message stands in front", async () => {
    const model = await open();
    const content = [
      { type: "image" as const, image: testPicture(60, 40, 5) },
      { type: "text" as const, text: "?" },
    ];
    await hear(model, { messages: [{ role: "user", content }], maxTokens: 2 });
    const other = await hear(model, {
      messages: [
        { role: "system", content: "Other." },
        { role: "user", content },
      ],
      maxTokens: 2,
    });
    expect(other.cachedIn).toEqual(["rows"]);
    expect((await model.stats()).encodedImages).toBe(1);
  });

  it("is never another tenant's", async () => {
    const model = await open({ parallel: 4 });
    const request = ask("What is this?", 8);
    await hear(model, { ...request, client: "a" });
    const other = await hear(model, { ...request, client: "b" });
    expect(other.cachedIn).toEqual([undefined]);
    expect(other.finish.usage.inputTokens.cached).toBe(0);
    const same = await hear(model, { ...request, client: "a" });
    expect(same.cachedIn).toEqual(["context"]);
  });

  it("makes room when the cache is full", async () => {
    const model = await open({ parallel: 1, contextLength: 256 });
    for (let number = 0; number < 12; number++) {
      const { finish } = await hear(model, {
        ...ask(`${number} ${"long ".repeat(19)}`, number),
        maxTokens: 20,
      });
      expect(finish.usage.outputTokens).toBe(20);
    }
    const { usedCells, contextCells } = await model.stats();
    expect(usedCells).toBeLessThanOrEqual(contextCells);
  });
});

describe("the cache on disk", () => {
  const request = ask("What is this?", 41);
  const another = ask("And what colour?", 41);

  it("answers a second question after a restart with neither encoder nor prompt", async () => {
    const first = await open({ diskCache: true });
    const { text } = await hear(first, request);
    const expected = (await hear(first, another)).text;
    await first.close();
    const second = await open({ diskCache: true });
    const heard = await hear(second, another);
    expect(heard.cachedIn).toEqual(["snapshot"]);
    expect(heard.text).toBe(expected);
    expect(heard.finish.usage.inputTokens.cached).toBeGreaterThan(16);
    const { encodedImages, cachedImages } = await second.stats();
    expect({ encodedImages, cachedImages }).toEqual({
      encodedImages: 0,
      cachedImages: { context: 0, snapshot: 1, rows: 0 },
    });
    expect((await hear(second, request)).text).toBe(text);
    await second.close();
  });

  it("gives the rows to a prompt that begins otherwise", async () => {
    const model = await open({ diskCache: true });
    const messages = [{ role: "system" as const, content: "Otherwise." }, ...request.messages];
    expect((await hear(model, { messages, maxTokens: 2 })).cachedIn).toEqual(["rows"]);
    await model.close();
  });

  it("is not believed when it is damaged", async () => {
    const fresh = await open();
    const expected = (await hear(fresh, request)).text;
    const cache = join(process.env["XDG_CACHE_HOME"] as string, "mull");
    for (const kind of ["rows", "snapshots"]) {
      for (const name of await readdir(join(cache, kind))) {
        const path = join(cache, kind, name);
        const bytes = await readFile(path);
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
        await writeFile(path, bytes);
      }
    }
    const model = await open({ diskCache: true });
    const heard = await hear(model, request);
    expect(heard.cachedIn).toEqual([undefined]);
    expect(heard.text).toBe(expected);
    await model.close();
  });

  it("is not another tenant's, and can be left out", async () => {
    const model = await open({ diskCache: true });
    await hear(model, { ...request, client: "a" });
    await model.close();
    const again = await open({ diskCache: true });
    expect((await hear(again, { ...request, client: "b" })).cachedIn).toEqual([undefined]);
    expect((await hear(again, { ...request, client: "a" })).cachedIn).toEqual(["snapshot"]);
    await again.close();
    const without = await open({ diskCache: false });
    expect((await hear(without, { ...request, client: "a" })).cachedIn).toEqual([undefined]);
  });
});

describe("a small context", () => {
  it("works, however small", async () => {
    const model = await open({ contextLength: 16, parallel: 2, template: "plain" });
    expect(model.info.contextLength).toBe(16);
    const { finish } = await hear(model, { messages: [{ role: "user", content: "Hi" }] });
    expect(finish.reason).toBe("length");
    expect(finish.usage.inputTokens.total + finish.usage.outputTokens).toBeLessThanOrEqual(17);
  });
});

describe("cancelling among many", () => {
  it("leaves no sequence behind, and the others as they were", async () => {
    const model = await open({ parallel: 4 });
    const steady = { ...ask("Steady.", 3), maxTokens: 60 };
    const expected = (await hear(model, steady)).text;
    for (let round = 0; round < 5; round++) {
      const kept = hear(model, steady);
      const gone = Array.from({ length: 12 }, (_, number) =>
        hear(model, {
          ...ask(`Cancelled ${number} ${"x ".repeat(number * 5)}`, number),
          maxTokens: 200,
          signal: AbortSignal.timeout(1 + ((number * 7 + round * 13) % 60)),
        }).catch((error: Error) => error.name),
      );
      expect((await kept).text).toBe(expected);
      await Promise.all(gone);
    }
    const stats = await model.stats();
    expect([stats.running, stats.waiting]).toEqual([0, 0]);
    expect(stats.usedCells).toBeLessThanOrEqual(stats.contextCells);
  });
});

describe("log probabilities", () => {
  it("add up to one over the whole vocabulary and begin with the greedy choice", async () => {
    const model = await open();
    const { parts } = await hear(model, { ...ask("What?", 1), maxTokens: 6, logprobs: 20 });
    const tokens = parts.flatMap((part) => (part.type === "text-delta" ? (part.logprobs ?? []) : []));
    expect(tokens.length).toBeGreaterThan(0);
    for (const { logprob, top, bytes, token } of tokens) {
      expect(top).toHaveLength(20);
      expect(top[0]).toMatchObject({ token, logprob, bytes });
      const mass = top.reduce((sum, alternative) => sum + Math.exp(alternative.logprob), 0);
      expect(mass).toBeGreaterThan(0);
      expect(mass).toBeLessThanOrEqual(1.0001);
    }
  });
});

describe("vectors", () => {
  const path = fileURLToPath(new URL("../examples/smile.png", import.meta.url));

  it("have length 1, are the same for the same input, and are of texts and pictures alike", async () => {
    const model = await open({ parallel: 2 });
    const { vectors, usage, receipts } = await model.embed([
      "a cat",
      "a dog",
      { image: path },
      { text: "a cat", image: path },
    ]);
    expect(vectors).toHaveLength(4);
    for (const vector of vectors) {
      expect(vector).toHaveLength(model.info.embeddingLength);
      expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
    }
    expect(receipts).toHaveLength(2);
    expect(usage.image).toBe(32);
    const [again] = (await model.embed(["a cat"])).vectors;
    expect(again).toEqual(vectors[0]);
    expect(vectors[1]).not.toEqual(vectors[0]);
    const [short] = (await model.embed(["a cat"], { dimensions: 8 })).vectors;
    expect(short).toHaveLength(8);
    expect(Math.hypot(...(short as Float32Array))).toBeCloseTo(1, 5);
  });

  it("are of a shortened text when it is too long, or of none", async () => {
    const model = await open();
    const long = "word ".repeat(600);
    expect((await model.embed([long])).usage.total).toBeLessThanOrEqual(model.info.contextLength);
    await expect(model.embed([long], { truncate: false })).rejects.toMatchObject({
      code: "context_overflow",
    });
  });

  it("do not disturb an answer that is written meanwhile", async () => {
    const model = await open({ parallel: 3 });
    const request = { ...ask("Go on.", 2), maxTokens: 60 };
    const expected = (await hear(model, request)).text;
    const writing = hear(model, request);
    for (let number = 0; number < 6; number++) await model.embed([`text ${number}`, { image: path }]);
    expect((await writing).text).toBe(expected);
  });
});

describe("an embedding model", () => {
  it.each(["mean", "last"] as const)(
    "gives vectors pooled by the %s token, and nothing else",
    async (pooling) => {
      const { model: path } = await tinyPair(folder.path, { text: { pooling } });
      const model = await load({ model: path, diskCache: false });
      models.push(model);
      expect(model.info.capabilities).toEqual(["embedding"]);
      const { vectors, usage } = await model.embed(["a cat", "a dog", "a cat"]);
      expect(usage.total).toBeGreaterThan(6);
      expect(vectors[0]).toEqual(vectors[2]);
      expect(vectors[0]).not.toEqual(vectors[1]);
      for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
      await expect(model.embed(["x ".repeat(2000)], { truncate: false })).rejects.toMatchObject({
        code: "context_overflow",
      });
      expect((await model.embed(["x ".repeat(2000)])).usage.total).toBe(model.info.contextLength);
      await expect(hear(model, ask("Hello"))).rejects.toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining("does not support chat") as string,
      });
      await expect(model.embed([{ image: testPicture(8, 8, 1) }])).rejects.toMatchObject({
        code: "unsupported_modality",
      });
    },
  );

  it("is refused when it ranks", async () => {
    const { model: path } = await tinyPair(folder.path, { text: { pooling: "rank" } });
    await expect(load({ model: path })).rejects.toMatchObject({ code: "invalid_model" });
  });
});

describe("counting", () => {
  it("is what the answer's usage says", async () => {
    const model = await open();
    const request = ask("How many?", 1, 2);
    const { cached: _, ...used } = (await hear(model, request)).finish.usage.inputTokens;
    expect(await model.countTokens(request)).toEqual(used);
  });
});
