import { describe, expect, it } from "vitest";
import { CliHarness, FINISH, INFO, PNG, until } from "../../../test/support/cli-harness.ts";
import {
  loopbackServer,
  type LoopbackRoute,
  type LoopbackServer,
  freeAddress,
  sendJson,
  sendLines,
} from "../../../test/support/loopback-server.ts";

const MINUTE = 60_000;

function running(name: string, more: object = {}): object {
  return {
    name,
    model: name,
    digest: "0123456789abcdef".repeat(4),
    size: 30_000_000,
    size_vram: 0,
    context_length: 512,
    expires_at: new Date(Date.now() + 4.5 * MINUTE).toISOString(),
    ...more,
  };
}

function listing(...models: object[]): LoopbackRoute {
  return (_, response) => sendJson(response, { models });
}

describe("mull ps", () => {
  it("prints Ollama's table", async () => {
    await using server = await loopbackServer({
      "GET /api/ps": listing(
        running("pico:latest"),
        running("llava:7b", { size: 8e9, size_vram: 8e9, expires_at: "2318-01-01T00:00:00Z" }),
        running("big:70b", {
          size: 40e9,
          size_vram: 30e9,
          expires_at: new Date(Date.now() - 5000).toISOString(),
        }),
        running("\u001b[31mred", { context_length: undefined, expires_at: "never" }),
      ),
    });
    const cli = new CliHarness({ env: { MULL_HOST: server.host } });
    expect(await cli.run("ps")).toBe(0);
    expect(cli.out).toBe(
      [
        "NAME           ID              SIZE     PROCESSOR          CONTEXT    UNTIL",
        "pico:latest    0123456789ab    30 MB    100% CPU           512        4 minutes from now",
        "llava:7b       0123456789ab    8 GB     100% GPU           512        Forever",
        "big:70b        0123456789ab    40 GB    25%/75% CPU/GPU    512        Stopping...",
        "␛[31mred       0123456789ab    30 MB    100% CPU           -          Forever",
        "",
      ].join("\n"),
    );
  });

  it("prints the heading when nothing is loaded", async () => {
    await using server = await loopbackServer({ "GET /api/ps": listing() });
    const cli = new CliHarness();
    expect(await cli.run("ps", "--host", server.url)).toBe(0);
    expect(cli.out).toBe("NAME    ID    SIZE    PROCESSOR    CONTEXT    UNTIL\n");
  });

  it("prints what the server said as JSON", async () => {
    const models = [running("pico:latest"), running("llava:7b")];
    await using server = await loopbackServer({ "GET /api/ps": listing(...models) });
    const cli = new CliHarness({ env: { MULL_HOST: undefined, OLLAMA_HOST: server.host } });
    expect(await cli.run("ps", "--json")).toBe(0);
    expect(
      cli.out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(models);
  });

  it("sends MULL_API_KEY, and says when the server wants one", async () => {
    await using server = await loopbackServer({
      "GET /api/ps": ({ headers }, response) =>
        headers.authorization === "Bearer k"
          ? sendJson(response, { models: [] })
          : sendJson(response, { error: "This server wants an API key." }, 401),
    });
    const without = new CliHarness({ env: { MULL_HOST: server.host } });
    expect(await without.run("ps")).toBe(5);
    expect(without.err).toContain("wants an API key");
    expect(await new CliHarness({ env: { MULL_HOST: server.host, MULL_API_KEY: "k" } }).run("ps")).toBe(0);
  });

  it("says that no server runs", async () => {
    const host = await freeAddress();
    for (const args of [["ps"], ["stop", "pico"]]) {
      const cli = new CliHarness({ env: { MULL_HOST: host } });
      expect(await cli.run(...args)).toBe(5);
      expect(cli.err).toContain(`No server answers at ${host}.`);
      expect(cli.err).toContain("mull serve");
      expect(cli.out).toBe("");
    }
  });

  it("refuses what is no address, and what is no server of models", async () => {
    const wrong = new CliHarness();
    expect(await wrong.run("ps", "--host", "ftp://x")).toBe(2);
    expect(wrong.err).toContain("--host");
    await using server = await loopbackServer({
      "GET /api/ps": (_, response) => void response.end("<html>"),
    });
    expect(await new CliHarness().run("ps", "--host", server.url)).toBe(5);
  });
});

describe("mull stop", () => {
  it("unloads a model by its name, with or without a tag", async () => {
    await using server = await loopbackServer({
      "GET /api/ps": listing(running("llava:7b"), running("pico:latest")),
      "POST /api/generate": (_, response) => sendJson(response, { done: true, done_reason: "unload" }),
    });
    const cli = new CliHarness({ env: { MULL_HOST: server.host } });
    expect(await cli.run("stop", "Pico")).toBe(0);
    expect(cli.err).toBe("Stopped pico:latest\n");
    expect(JSON.parse(String(server.requests.at(-1)?.body))).toEqual({
      model: "pico:latest",
      keep_alive: 0,
      stream: false,
    });
  });

  it.each([
    [[], "pico", "No model is loaded."],
    [[running("pico:latest")], "pcio:latest", "Did you mean pico:latest?"],
    [[running("pico:latest")], "llava", "Loaded: pico:latest."],
  ])("says what is loaded instead: %#", async (models, name, hint) => {
    await using server = await loopbackServer({ "GET /api/ps": listing(...models) });
    const cli = new CliHarness({ env: { MULL_HOST: server.host } });
    expect(await cli.run("stop", name)).toBe(3);
    expect(cli.err).toContain(`no model "${name}" loaded`);
    expect(cli.err).toContain(hint);
  });
});

const ANSWER = [
  { type: "text-start", id: "0" },
  { type: "text-delta", id: "0", delta: "From the server." },
  { type: "text-end", id: "0" },
  FINISH,
];

const MULL = {
  "GET /api/version": ((_, response) =>
    sendJson(response, { version: "0.33.0", mull: "1.2.3" })) as LoopbackRoute,
  "GET /api/tags": listing({ name: "pico:latest" }, { name: "Other:7b" }),
  "GET /api/models/pico": ((_, response) => sendJson(response, INFO)) as LoopbackRoute,
  "POST /api/stream": ((_, response) => {
    sendLines(response, ANSWER);
    response.end();
  }) as LoopbackRoute,
};

async function ask(server: LoopbackServer, args: string[], env: NodeJS.ProcessEnv = {}): Promise<CliHarness> {
  const cli = new CliHarness({ env: { MULL_HOST: server.host, ...env } });
  expect(await cli.run("run", ...args)).toBe(0);
  return cli;
}

describe("mull run beside a server", () => {
  it("asks the server, with the key", async () => {
    await using server = await loopbackServer(MULL);
    const cli = await ask(server, ["pico", "hi", "--top-k", "3"], { MULL_API_KEY: "k" });
    expect(cli.out).toBe("From the server.\n");
    expect(cli.err).toBe("");
    expect(cli.loads).toEqual([]);
    expect(server.requests.every(({ headers }) => headers.authorization === "Bearer k")).toBe(true);
    expect(JSON.parse(String(server.requests.at(-1)?.body))).toMatchObject({ model: "pico", topK: 3 });
  });

  it("finds a server that only OLLAMA_HOST names, on this machine", async () => {
    await using server = await loopbackServer(MULL);
    const cli = await ask(server, ["hi!"], { MULL_HOST: undefined, OLLAMA_HOST: server.host });
    expect(cli.out).toBe("From the server.\n");
  });

  it.each([
    ["--local", ["pico", "hi", "--local"]],
    ["a file", ["--model-file", "x.gguf", "hi"]],
    ["a file's name", ["x.gguf", "hi"]],
    ["a context length", ["pico", "hi", "--num-ctx", "256"]],
    ["threads", ["pico", "hi", "--threads", "1"]],
    ["a template", ["pico", "hi", "--template", "vicuna_v1"]],
    ["a precision", ["pico", "hi", "--encoder-precision", "f32"]],
  ])("loads an engine of its own, and asks no server, with %s", async (_, args) => {
    await using server = await loopbackServer(MULL);
    const cli = await ask(server, args);
    expect(cli.out).toBe("A yellow smiley face.\n");
    expect(cli.loads).toHaveLength(1);
    expect(server.requests).toEqual([]);
  });

  it.each<[string, Readonly<Record<string, LoopbackRoute>>, string]>([
    [
      "is Ollama",
      { "GET /api/version": (_, response) => sendJson(response, { version: "0.9.0" }) },
      "No mull server answers",
    ],
    ["is no server of models", {}, "No mull server answers"],
    ["does not answer", { "GET /api/version": () => {} }, "No mull server answers"],
    [
      "does not know the model",
      {
        ...MULL,
        "GET /api/tags": listing({ name: "pico:7b" }),
      },
      "has no pico.",
    ],
    [
      "wants a key",
      { "GET /api/version": (_, response) => void response.writeHead(401).end() },
      "wants an API key",
    ],
  ])("loads an engine of its own when what listens %s", async (_, routes, reason) => {
    await using server = await loopbackServer(routes);
    const cli = await ask(server, ["pico", "hi", "--verbose"]);
    expect(cli.out).toBe("A yellow smiley face.\n");
    expect(cli.err).toContain(reason);
    expect(cli.err.toLowerCase()).toContain("own engine.");
    expect(cli.loads).toMatchObject([{ model: "pico" }]);
  });

  it("says with --verbose that the server answers", async () => {
    await using server = await loopbackServer(MULL);
    const cli = await ask(server, ["pico", "hi", "--verbose"]);
    expect(cli.err).toContain(`pico runs on the server at ${server.host}.\n`);
  });

  it("reports what is wrong with the model on the server", async () => {
    await using server = await loopbackServer({
      ...MULL,
      "GET /api/models/pico": (_, response) =>
        sendJson(
          response,
          { error: { code: "out_of_memory", message: "There is no memory for pico." } },
          503,
        ),
    });
    const cli = new CliHarness({ env: { MULL_HOST: server.host } });
    expect(await cli.run("run", "pico", "hi")).toBe(6);
    expect(cli.err).toContain("There is no memory for pico.");
    expect(cli.loads).toEqual([]);
  });

  it("sends pictures and answers as JSON", async () => {
    await using server = await loopbackServer({
      ...MULL,
      "POST /api/media": (_, response) => sendJson(response, {}),
    });
    const cli = new CliHarness({ stdin: PNG, env: { MULL_HOST: server.host } });
    expect(await cli.run("run", "pico", "hi", "--json")).toBe(0);
    expect(
      cli.out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([...ANSWER.slice(0, -1), expect.objectContaining({ type: "finish" })]);
    expect(server.requests.find(({ path }) => path === "/api/media")?.body).toEqual(Buffer.from(PNG));
  });

  it("keeps a conversation going, and leaves the server when the context is to be longer", async () => {
    await using server = await loopbackServer(MULL);
    const cli = new CliHarness({ terminal: true, env: { MULL_HOST: server.host } });
    const ended = cli.run("run", "pico");
    await until(() => cli.out.includes(">>>"));
    await cli.type("hello\r");
    await until(() => cli.out.includes("From the server."));
    await cli.type("/set parameter num_ctx 256\r");
    await cli.type("and now\r");
    await until(() => cli.out.includes("A yellow smiley face."));
    await cli.type("/bye\r");
    expect(await ended).toBe(0);
    expect(cli.loads).toMatchObject([{ model: "pico", contextLength: 256 }]);
    expect(cli.requests.at(-1)?.messages).toHaveLength(3);
  });
});
