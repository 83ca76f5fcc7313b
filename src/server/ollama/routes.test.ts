import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  fakeContext,
  fakeModel,
  fakePool,
  type FakeAnswer,
  type FakeServer,
  FINISH,
  INFO,
  RECEIPT,
  say,
} from "../../../test/support/fake-server.ts";
import { PNG } from "../../../test/support/cli-harness.ts";
import { MullError } from "../../spec/errors.ts";
import type { EmbedInput, EmbedOptions, Model, ModelInfo, StreamRequest } from "../../spec/model.ts";
import { createApp } from "../create-app.ts";
import type { AcquireOptions, CatalogEntry } from "../model-pool.ts";
import type { ServerOptions } from "../server-options.ts";
import { ollamaRoutes } from "./routes.ts";

const PICTURE = Buffer.from(PNG).toString("base64");

/** What an answer, or a line of one, may hold. */
interface Line {
  error: string;
  message: { tool_calls?: unknown };
  response: string;
  done: boolean;
  total_duration: number;
  receipts: unknown;
  logprobs: unknown;
  truncated: number;
  embeddings: number[][];
  model_info: Record<string, unknown>;
  projector_info: Record<string, unknown>;
  modelfile: string;
  tensors: unknown[];
}

interface Answered {
  status: number;
  type: string | null;
  /** The JSON of an answer, or its first line. */
  body: Line;
  lines: Line[];
  last: Line;
}

interface Served {
  post: (path: string, body: unknown) => Promise<Answered>;
  get: (path: string, method?: string) => Promise<Response>;
  server: FakeServer;
  /** What the model was asked. */
  requests: StreamRequest[];
  embeds: { inputs: readonly EmbedInput[]; options: EmbedOptions | undefined }[];
  /** What the pool was asked, and what is out. */
  acquired: (AcquireOptions | undefined)[];
  unloaded: string[];
  leases: () => number;
  pending: () => number;
}

function serve(
  given: {
    answer?: FakeAnswer;
    info?: Partial<ModelInfo>;
    entry?: Partial<CatalogEntry>;
    options?: Partial<ServerOptions>;
    acquire?: () => void;
  } = {},
): Served {
  const requests: StreamRequest[] = [];
  const embeds: Served["embeds"] = [];
  const acquired: Served["acquired"] = [];
  const unloaded: string[] = [];
  const answer = given.answer ?? (() => say("Hello", " there."));
  const model: Model = {
    ...fakeModel((request) => {
      requests.push(request);
      return answer(request);
    }),
    info: { ...INFO, ...given.info },
    embed: async (inputs, options) => {
      embeds.push({ inputs, options });
      const vectors = inputs.map(() => Float32Array.from([0.5, -0.5]));
      return { vectors, usage: { total: 9, text: 5, image: 4 }, receipts: [RECEIPT] };
    },
  };
  const pool = fakePool(model);
  const withEntry = (entry: CatalogEntry): CatalogEntry => ({ ...entry, ...given.entry });
  let entered = 0;
  const server = fakeContext({
    ...(given.options === undefined ? {} : { options: given.options }),
    admission: {
      pending: new Map(),
      enter: () => {
        entered += 1;
        return () => void (entered -= 1);
      },
    },
    models: {
      ...pool,
      find: async (name) => withEntry(await pool.find(name)),
      acquire: async (name, options) => {
        given.acquire?.();
        acquired.push(options);
        return { ...(await pool.acquire(name, options)), loadMs: 1.5 };
      },
      unload: async (name) => unloaded.push(name) > 0,
    },
  });
  const app = createApp(server, [ollamaRoutes]);
  return {
    post: async (path, body) => {
      const response = await app.request(path, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        headers: { "Content-Type": "application/json" },
      });
      const text = await response.text();
      const lines = text.split("\n").filter((line) => line !== "");
      const parsed = lines.map((line) => JSON.parse(line) as Line);
      const type = response.headers.get("content-type");
      return { status: response.status, type, body: parsed[0]!, lines: parsed, last: parsed.at(-1)! };
    },
    get: async (path, method = "GET") => app.request(path, { method }),
    server,
    requests,
    embeds,
    acquired,
    unloaded,
    leases: () => pool.loaded()[0]?.leases ?? 0,
    pending: () => entered,
  };
}

const hello = { model: "pico", messages: [{ role: "user", content: "Hi" }] };

describe("/api/chat", () => {
  it("streams lines, of which the last one tells of the whole", async () => {
    const { post, leases, pending } = serve();
    const { lines, type } = await post("/api/chat", hello);
    expect(type).toBe("application/x-ndjson");
    expect(lines).toHaveLength(3);
    expect(lines[0]).toEqual({
      model: "pico",
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/),
      message: { role: "assistant", content: "Hello" },
      done: false,
    });
    expect(lines[2]).toEqual({
      model: "pico",
      created_at: expect.any(String),
      message: { role: "assistant", content: "" },
      done: true,
      done_reason: "stop",
      total_duration: expect.any(Number),
      load_duration: 1_500_000,
      prompt_eval_count: 40,
      prompt_eval_duration: 7_000_000,
      eval_count: 5,
      eval_duration: 50_000_000,
      prompt_eval_cached: 30,
      prompt_eval_image: 36,
      receipts: [],
    });
    expect(Number.isInteger(lines[2]?.total_duration)).toBe(true);
    expect([leases(), pending()]).toEqual([0, 0]);
  });

  it("answers whole when told not to stream", async () => {
    const { body, type } = await serve().post("/api/chat", { ...hello, stream: false });
    expect(type).toMatch(/^application\/json/);
    expect(body).toMatchObject({
      message: { role: "assistant", content: "Hello there." },
      done: true,
      done_reason: "stop",
    });
  });

  it("asks with Ollama's defaults, for the client, until the client goes away", async () => {
    const { post, requests } = serve();
    await post("/api/chat", hello);
    expect(requests[0]).toMatchObject({
      messages: [{ role: "user", content: "Hi" }],
      temperature: 0.8,
      topK: 40,
      topP: 0.9,
      minP: 0,
      repeatPenalty: 1,
      maxTokens: -1,
      client: "",
      signal: expect.any(AbortSignal),
    });
    for (const absent of ["seed", "think", "format", "tools", "logprobs", "overflow"]) {
      expect(requests[0]).not.toHaveProperty(absent);
    }
  });

  it("gives pictures to the model in front of their text, and their receipts to the client", async () => {
    const answer: FakeAnswer = function* () {
      yield { type: "media", receipt: RECEIPT };
      yield* say("A dot.");
    };
    const { post, requests } = serve({ answer });
    const { body, last } = await post("/api/chat", {
      model: "pico",
      messages: [{ role: "user", content: "What?", images: [PICTURE] }],
      max_image_tokens: 9,
      detail: "low",
      overflow: "shrink",
    });
    expect(requests[0]?.messages[0]?.content).toEqual([
      { type: "image", image: new Uint8Array(PNG), maxTokens: 9, detail: "low" },
      { type: "text", text: "What?" },
    ]);
    expect(requests[0]?.overflow).toBe("shrink");
    expect(last.receipts).toEqual([RECEIPT]);
    expect(body).not.toHaveProperty("receipts");
  });

  it("hands tools over, and calls of them back", async () => {
    const answer: FakeAnswer = function* () {
      yield { type: "tool-call", toolCall: { id: "call_a", name: "weather", arguments: { city: "Bonn" } } };
      yield { type: "tool-call", toolCall: { id: "call_b", name: "time", arguments: {} } };
      yield { ...(FINISH as object), reason: "tool-calls" } as typeof FINISH;
    };
    const parameters = { type: "object", properties: { city: { type: "string" } } };
    const { post, requests } = serve({ answer });
    const asked = {
      ...hello,
      tools: [{ type: "function", function: { name: "weather", description: "How it is.", parameters } }],
    };
    const { lines } = await post("/api/chat", asked);
    expect(requests[0]?.tools).toEqual([{ name: "weather", description: "How it is.", parameters }]);
    const first = { id: "call_a", function: { index: 0, name: "weather", arguments: { city: "Bonn" } } };
    const second = { id: "call_b", function: { index: 1, name: "time", arguments: {} } };
    expect(lines[0]?.message).toEqual({ role: "assistant", content: "", tool_calls: [first] });
    expect(lines[1]?.message.tool_calls).toEqual([second]);
    expect(lines[2]).toMatchObject({ done: true, done_reason: "stop" });
    const { body } = await post("/api/chat", { ...asked, stream: false });
    expect(body.message.tool_calls).toEqual([first, second]);
  });

  it("shows what a model thinks apart from what it says", async () => {
    const answer: FakeAnswer = function* () {
      yield { type: "reasoning-delta", id: "0", delta: "Hm." };
      yield* say("Yes.");
    };
    const { post, requests } = serve({ answer, info: { capabilities: ["completion", "thinking"] } });
    const { body } = await post("/api/chat", { ...hello, stream: false });
    expect(body.message).toEqual({ role: "assistant", content: "Yes.", thinking: "Hm." });
    expect(requests[0]?.think).toBe(true);
    await post("/api/chat", { ...hello, think: "high" });
    await post("/api/chat", { ...hello, think: false });
    expect(requests.slice(1).map(({ think }) => think)).toEqual(["high", false]);
  });

  it.each([true, "low"])("refuses think: %j for a model that cannot", async (think) => {
    const { post, requests, leases, pending } = serve();
    const { status, body } = await post("/api/chat", { ...hello, think });
    expect([status, body]).toEqual([400, { error: '"pico" does not support thinking' }]);
    expect([requests.length, leases(), pending()]).toEqual([0, 0, 0]);
  });

  it("constrains the answer by a format", async () => {
    const { post, requests } = serve();
    const schema = { type: "object", properties: { count: { type: "integer" } } };
    for (const format of ["json", schema, "", null]) await post("/api/chat", { ...hello, format });
    expect(requests.map(({ format }) => format)).toEqual(["json", schema, undefined, undefined]);
    const { status, body } = await post("/api/chat", { ...hello, format: "xml" });
    expect([status, body]).toEqual([
      400,
      { error: 'invalid format: "xml"; expected "json" or a valid JSON Schema object' },
    ]);
  });

  it("gives log probabilities when asked for", async () => {
    const top = [{ token: "Ha", logprob: Number.NEGATIVE_INFINITY, bytes: [72, 97] }];
    const answer: FakeAnswer = function* () {
      yield {
        type: "text-delta",
        id: "0",
        delta: "Hi",
        logprobs: [{ token: "Hi", logprob: -0.1, bytes: [72, 105], top }],
      };
      yield FINISH;
    };
    const { post, requests } = serve({ answer });
    const { lines } = await post("/api/chat", { ...hello, logprobs: true, top_logprobs: 1 });
    expect(requests[0]?.logprobs).toBe(1);
    expect(lines[0]?.logprobs).toEqual([
      {
        token: "Hi",
        logprob: -0.1,
        bytes: [72, 105],
        top_logprobs: [{ token: "Ha", logprob: -9999, bytes: [72, 97] }],
      },
    ]);
    await post("/api/chat", { ...hello, top_logprobs: 5 });
    expect(requests[1]).not.toHaveProperty("logprobs");
    const { status, body } = await post("/api/chat", { ...hello, top_logprobs: 21 });
    expect([status, body]).toEqual([400, { error: "top_logprobs must be between 0 and 20" }]);
  });

  it("puts in front what a saved model brings along", async () => {
    const messages = [
      { role: "user", content: "1" },
      { role: "assistant", content: "2" },
    ] as const;
    const entry = { system: "Be brief.", messages, generation: { temperature: 0.1 } };
    const { post, requests } = serve({ entry });
    await post("/api/chat", { ...hello, options: { top_k: 7 } });
    expect(requests[0]).toMatchObject({
      temperature: 0.1,
      topK: 7,
      messages: [{ role: "system", content: "Be brief." }, ...messages, { role: "user", content: "Hi" }],
    });
    const own = { role: "system", content: "Be long." };
    await post("/api/chat", { ...hello, messages: [own, ...hello.messages] });
    expect(requests[1]?.messages).toEqual([...messages, own, { role: "user", content: "Hi" }]);
  });

  it("passes on how long the model shall stay, and the context that it needs", async () => {
    const { post, acquired } = serve();
    await post("/api/chat", { ...hello, keep_alive: "10m", options: { num_ctx: 8192 } });
    await post("/api/chat", { ...hello, keep_alive: -1 });
    await post("/api/chat", hello);
    expect(acquired[0]).toMatchObject({ keepAliveMs: 600_000, contextLength: 8192 });
    expect(acquired[1]?.keepAliveMs).toBe(Number.POSITIVE_INFINITY);
    expect(acquired[2]).not.toHaveProperty("keepAliveMs");
  });

  it("says how many messages did not fit", async () => {
    let calls = 0;
    const answer: FakeAnswer = () => {
      if (++calls === 1) throw new MullError("context_overflow", "too long");
      return say("Hi.");
    };
    const messages = ["1", "2", "3"].flatMap((content) => [
      { role: "user", content },
      { role: "assistant", content },
    ]);
    const { post, requests } = serve({ answer });
    const { last } = await post("/api/chat", { model: "pico", messages: [...messages, ...hello.messages] });
    expect(requests[1]?.messages).toHaveLength(5);
    expect(last.truncated).toBe(2);
  });
});

describe("loading and unloading", () => {
  it.each([
    ["/api/chat", { message: { role: "assistant", content: "" } }],
    ["/api/generate", { response: "" }],
  ])("%s without a question", async (path, fields) => {
    const { post, acquired, unloaded, requests, leases } = serve();
    const loaded = await post(path, { model: "pico", keep_alive: 60 });
    const head = { model: "pico", created_at: expect.any(String), done: true, ...fields };
    expect(loaded.body).toEqual({ ...head, done_reason: "load" });
    expect(acquired[0]?.keepAliveMs).toBe(60_000);
    const gone = await post(path, { model: "pico", keep_alive: 0, messages: [], prompt: "" });
    expect(gone.body).toEqual({ ...head, done_reason: "unload" });
    expect(unloaded).toEqual(["pico:latest"]);
    expect([acquired.length, requests.length, leases()]).toEqual([1, 0, 0]);
  });
});

describe("/api/generate", () => {
  it("streams an answer to a prompt with pictures", async () => {
    const { post, requests } = serve();
    const { lines } = await post("/api/generate", {
      model: "pico",
      prompt: "What?",
      images: [PICTURE],
      system: "Be brief.",
    });
    expect(lines.map(({ response, done }) => [response, done])).toEqual([
      ["Hello", false],
      [" there.", false],
      ["", true],
    ]);
    expect(lines[2]).toMatchObject({ done_reason: "stop", eval_count: 5, receipts: [] });
    expect(lines[2]).not.toHaveProperty("context");
    expect(requests[0]?.messages[0]).toEqual({ role: "system", content: "Be brief." });
    expect(requests[0]?.messages[1]?.content).toHaveLength(2);
  });

  it("answers about a picture without a prompt", async () => {
    const { post, requests } = serve();
    const { body } = await post("/api/generate", {
      model: "pico",
      images: [PICTURE],
      keep_alive: 0,
      stream: false,
    });
    expect(body.response).toBe("Hello there.");
    expect(requests[0]?.messages[0]?.content).toHaveLength(1);
  });

  it("takes a raw prompt as it is", async () => {
    const { post, requests } = serve({ entry: { system: "Be brief." } });
    await post("/api/generate", { model: "pico", prompt: "<s>Hi", raw: true });
    expect(requests[0]).toMatchObject({ raw: true, messages: [{ role: "user", content: "<s>Hi" }] });
  });

  it.each([
    [{ suffix: "}" }, /^"pico" does not support insert$/],
    [{ template: "{{ .Prompt }}" }, /^template is not supported/],
    [{ context: [1, 2] }, /^context is not supported/],
    [{ raw: true, system: "x" }, /^raw mode does not support template, system, or context$/],
    [{ images: ["", PICTURE] }, /^images\[0\]/],
    [{ options: { temperature: "hot" } }, /^option "temperature" must be of type float32$/],
    [{ keep_alive: "soon" }, /^time: invalid duration "soon"$/],
    [{ think: "hard" }, /^think: must be "high", "medium", "low", "max", true, or false/],
    [{ prompt: 5 }, /^prompt: expected string/],
    [{ images: [5] }, /^images\[0\]: expected a picture/],
  ])("refuses %j", async (fields, message) => {
    const { post, requests, leases, pending } = serve();
    const { status, body } = await post("/api/generate", { model: "pico", prompt: "Hi", ...fields });
    expect(status).toBe(400);
    expect(body).toEqual({ error: expect.stringMatching(message) });
    expect([requests.length, leases(), pending()]).toEqual([0, 0, 0]);
  });

  it("takes null for nothing, as Go does", async () => {
    const nothing = Object.fromEntries(
      [
        "suffix",
        "system",
        "template",
        "context",
        "stream",
        "raw",
        "format",
        "keep_alive",
        "images",
        "options",
        "think",
        "logprobs",
        "top_logprobs",
        "truncate",
      ].map((name) => [name, null]),
    );
    const { status } = await serve().post("/api/generate", { model: "pico", prompt: "Hi", ...nothing });
    expect(status).toBe(200);
  });
});

describe("errors", () => {
  it.each(["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"])(
    "of %s",
    async (path) => {
      const { post } = serve();
      expect(await post(path, {})).toMatchObject({ status: 400, body: { error: "model is required" } });
      expect(await post(path, "")).toMatchObject({ status: 400, body: { error: "missing request body" } });
      expect(await post(path, "{")).toMatchObject({ status: 400 });
      const unknown = await post(path, { model: "nothing", name: "nothing" });
      const words =
        path === "/api/show"
          ? "model 'nothing' not found"
          : 'model "nothing" not found, try pulling it first';
      expect(unknown).toMatchObject({ status: 404, body: { error: words } });
    },
  );

  it("before the first piece have a status, after it a line", async () => {
    const fail = new MullError("engine_crashed", "The engine died.");
    const early = serve({
      answer: () => {
        throw fail;
      },
    });
    expect(await early.post("/api/chat", hello)).toMatchObject({
      status: 500,
      body: { error: "The engine died." },
    });
    const late = serve({
      answer: function* () {
        yield { type: "text-delta", id: "0", delta: "Hel" };
        throw fail;
      },
    });
    const { status, lines } = await late.post("/api/chat", hello);
    expect(status).toBe(200);
    expect(lines.at(-1)).toEqual({ error: "The engine died." });
    expect(await late.post("/api/chat", { ...hello, stream: false })).toMatchObject({ status: 500 });
    for (const { leases, pending } of [early, late]) expect([leases(), pending()]).toEqual([0, 0]);
  });

  it("are a model that does not load, and a full queue", async () => {
    const busy = new MullError(
      "server_busy",
      "server busy, please try again.  maximum pending requests exceeded",
    );
    for (const [error, status] of [
      [busy, 503],
      [new MullError("out_of_memory", "No memory."), 503],
    ] as const) {
      const { post, pending } = serve({
        acquire: () => {
          throw error;
        },
      });
      expect(await post("/api/generate", { model: "pico", prompt: "Hi" })).toMatchObject({
        status,
        body: { error: error.message },
      });
      expect(pending()).toBe(0);
    }
  });

  it("are too many pictures", async () => {
    const { post, requests } = serve({ options: { maxImages: 2 } });
    const messages = [
      { role: "user", content: "?", images: [PICTURE, PICTURE] },
      { role: "user", content: "?", images: [PICTURE] },
    ];
    const { status, body } = await post("/api/chat", { model: "pico", messages });
    expect([status, body]).toEqual([
      400,
      { error: expect.stringMatching(/^The request has 3 pictures; .* 2/) },
    ]);
    expect(requests).toEqual([]);
  });

  it("name the place of what is wrong", async () => {
    const { post } = serve();
    const ask = async (messages: unknown): Promise<string> =>
      (await post("/api/chat", { model: "pico", messages })).body.error;
    expect(await ask([{ role: "robot", content: "x" }])).toMatch(/^messages\[0\]\.role/);
    expect(await ask([{ role: "user", content: ["x"] }])).toMatch(/^messages\[0\]\.content/);
    expect(
      await ask([{ role: "assistant", tool_calls: [{ function: { name: "a", arguments: "{}" } }] }]),
    ).toMatch(/^messages\[0\]\.tool_calls\[0\]\.function\.arguments/);
  });

  it("leave nothing behind when the client goes away in the middle", async () => {
    const served = serve({
      answer: async function* ({ signal }) {
        yield { type: "text-delta", id: "0", delta: "Hel" };
        await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      },
    });
    const app = createApp(served.server, [ollamaRoutes]);
    const gone = new AbortController();
    const response = await app.request("/api/chat", {
      method: "POST",
      body: JSON.stringify(hello),
      signal: gone.signal,
    });
    const reader = response.body!.getReader();
    await reader.read();
    expect([served.leases(), served.pending()]).toEqual([1, 1]);
    gone.abort();
    while (!(await reader.read()).done);
    await turn();
    expect([served.leases(), served.pending()]).toEqual([0, 0]);
  });
});

describe("/api/embed", () => {
  it("gives vectors of texts and pictures", async () => {
    const { post, embeds, leases } = serve();
    const input = ["a", { text: "b" }, { image: PICTURE, text: "c" }];
    const { body } = await post("/api/embed", { model: "pico", input, truncate: false, dimensions: 2 });
    expect(body).toEqual({
      model: "pico",
      embeddings: [
        [0.5, -0.5],
        [0.5, -0.5],
        [0.5, -0.5],
      ],
      total_duration: expect.any(Number),
      load_duration: 1_500_000,
      prompt_eval_count: 9,
      prompt_eval_image: 4,
      receipts: [RECEIPT],
    });
    expect(embeds[0]?.inputs).toEqual(["a", { text: "b" }, { image: new Uint8Array(PNG), text: "c" }]);
    expect(embeds[0]?.options).toMatchObject({ truncate: false, dimensions: 2, client: "" });
    expect(leases()).toBe(0);
  });

  it("takes one text, and nothing, which only loads the model", async () => {
    const { post, embeds } = serve();
    expect((await post("/api/embed", { model: "pico", input: "a" })).body.embeddings).toHaveLength(1);
    for (const input of ["", [], null, undefined]) {
      expect((await post("/api/embed", { model: "pico", input })).body).toEqual({
        model: "pico",
        embeddings: [],
      });
    }
    expect(embeds).toHaveLength(1);
  });

  it.each([[[5]], [{}], [[{ text: null }]], [true]])("refuses %j", async (input) => {
    expect((await serve().post("/api/embed", { model: "pico", input })).status).toBe(400);
  });

  it("has an older form", async () => {
    const { post } = serve();
    expect((await post("/api/embeddings", { model: "pico", prompt: "a" })).body).toEqual({
      embedding: [0.5, -0.5],
    });
    expect((await post("/api/embeddings", { model: "pico" })).body).toEqual({ embedding: [] });
  });
});

describe("facts", () => {
  it("/ and /api/version, GET and HEAD", async () => {
    const { get } = serve();
    expect(await (await get("/")).text()).toBe("Ollama is running");
    expect(await (await get("/api/version")).json()).toEqual({
      version: expect.stringMatching(/^0\.\d+\.\d+$/),
      mull: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    for (const path of ["/", "/api/version", "/api/tags"]) {
      const head = await get(path, "HEAD");
      expect([head.status, await head.text()]).toEqual([200, ""]);
    }
  });

  it("/api/tags lists models without loading them", async () => {
    const { get, acquired } = serve();
    const { models } = (await (await get("/api/tags")).json()) as { models: unknown[] };
    expect(models).toEqual([
      {
        name: "pico:latest",
        model: "pico:latest",
        modified_at: "1970-01-01T00:00:00.000Z",
        size: 1_000_000,
        digest: "0".repeat(64),
        details: {
          parent_model: "",
          format: "gguf",
          family: "llama",
          families: ["llama", "clip"],
          parameter_size: expect.stringMatching(/^[\d.]+[KM]$/),
          quantization_level: expect.stringMatching(/^[A-Z]+\d/),
          context_length: expect.any(Number),
          embedding_length: expect.any(Number),
        },
        capabilities: ["completion", "vision"],
      },
    ]);
    expect(acquired).toEqual([]);
  });

  it("/api/ps lists what is loaded", async () => {
    const { models } = (await (await serve().get("/api/ps")).json()) as { models: unknown[] };
    expect(models).toEqual([
      {
        name: "pico:latest",
        model: "pico:latest",
        size: 1_000_000,
        digest: "0".repeat(64),
        details: expect.objectContaining({
          family: "llama",
          parameter_size: "619K",
          quantization_level: "Q8_0",
        }),
        expires_at: expect.stringMatching(/^2[23]\d\d-/),
        size_vram: 0,
        context_length: 512,
      },
    ]);
  });

  it("/api/show tells all of a model but where it lies", async () => {
    const entry: Partial<CatalogEntry> = {
      system: "Be brief.",
      generation: { temperature: 0.5, stop: ["\n"] },
      messages: [
        {
          role: "user",
          content: [
            { type: "image", image: "/home/alice/x.png" },
            { type: "text", text: "Hi" },
          ],
        },
      ],
    };
    const { post } = serve({ entry });
    const { body } = await post("/api/show", { name: "pico" });
    expect(body).toMatchObject({
      system: "Be brief.",
      parameters: `${"temperature".padEnd(30)} 0.5\n${"stop".padEnd(30)} "\\n"`,
      messages: [{ role: "user", content: "Hi" }],
      capabilities: ["completion", "vision"],
      modified_at: "1970-01-01T00:00:00.000Z",
    });
    expect(body.modelfile).toContain('FROM pico:latest\nSYSTEM """Be brief."""\nPARAMETER temperature 0.5\n');
    expect(body.model_info["general.architecture"]).toBe("llama");
    expect(body.model_info["tokenizer.ggml.tokens"]).toBeNull();
    expect(body.model_info).not.toHaveProperty("tokenizer.chat_template");
    expect(body.projector_info["clip.has_vision_encoder"]).toBe(true);
    expect(body.tensors[0]).toEqual({
      name: expect.any(String),
      type: expect.any(String),
      shape: expect.any(Array),
    });
    expect(JSON.stringify(body)).not.toMatch(/\/(?:home|models|tmp)\//);
    const verbose = await post("/api/show", { model: "pico", verbose: true });
    expect(verbose.body.model_info["tokenizer.ggml.tokens"]).toContain("<s>");
  });

  it("stands in /openapi.json", async () => {
    const { paths } = (await (await serve().get("/openapi.json")).json()) as {
      paths: Record<string, object>;
    };
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining([
        "/",
        "/api/chat",
        "/api/generate",
        "/api/embed",
        "/api/embeddings",
        "/api/show",
        "/api/tags",
        "/api/ps",
        "/api/version",
        "/api/pull",
        "/api/push",
        "/api/create",
        "/api/copy",
        "/api/delete",
        "/api/blobs/{digest}",
      ]),
    );
    expect(Object.keys(paths["/api/blobs/{digest}"] ?? {}).toSorted()).toEqual(["head", "post"]);
  });
});
