import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { testPicture } from "../../bench/test-picture.ts";
import { mull } from "../support/command.ts";
import { head, rawClient } from "../support/raw-client.ts";
import { killServersAtEnd, metricOf, startServe, until } from "../support/served-command.ts";
import { temporaryFolder, tinyPair } from "../support/tiny-models.ts";
import { answer, DIALECTS, post } from "../support/wire-dialects.ts";

/** `mull serve` as a service manager runs it, and what `mull ps` and `mull stop` say of it. */
const folder = temporaryFolder();
killServersAtEnd();

/** Random weights that hardly ever end an answer, and are slow to write one. */
const slow = { model: "slow", text: "Once upon a time" } as const;
let slowFlag: string;

beforeAll(async () => {
  const text = {
    blocks: 2,
    embedding: 512,
    feedForward: 1024,
    heads: 8,
    keyValueHeads: 8,
    vocabulary: 8192,
    contextLength: 4096,
  };
  const { model } = await tinyPair(folder.path, { text });
  slowFlag = `slow=${model}`;
});

/** Reads until the stream has brought something of the answer. */
async function begin(response: Response): Promise<() => Promise<string>> {
  expect(response.status).toBe(200);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const more = async (): Promise<boolean> => {
    const { done, value } = await reader.read();
    text += value ?? "";
    return !done;
  };
  while (!/"(?:content|text)":\s*"[^"]/.test(text) && (await more()));
  return async () => {
    while (await more());
    return text;
  };
}

describe("SIGTERM", () => {
  it("lets answers end, takes nothing new, and exits with 0", async () => {
    await using server = await startServe(["--model", slowFlag]);
    const [dialect] = DIALECTS;
    const kept = await rawClient(server.url);
    const other = await rawClient(server.url);
    const rest = await begin(
      await post(server, dialect!.path, dialect!.ask({ ...slow, tokens: 150, stream: true })),
    );
    server.signal("SIGTERM");
    await until(() => server.log().includes("ending"), "the drain");
    kept.send(`${head("GET", "/health")}\r\n`);
    expect((await kept.closed).text).toMatch(/^HTTP\/1\.1 503 [^]*"status":"draining"/);
    other.send(`${head("GET", "/api/tags")}\r\n`);
    expect((await other.closed).text).toMatch(/^HTTP\/1\.1 503 [^]*Retry-After: 5[^]*The server is ending/i);
    await expect(fetch(`${server.url}/health`)).rejects.toBeInstanceOf(Error);
    const end = (await rest()).slice(-400);
    expect(end).toMatch(dialect!.end);
    expect(end).toMatch(/"eval_count":150\b/);
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "as %s to all processes lets answers end too",
    async (name) => {
      await using server = await startServe(["--model", slowFlag]);
      const [dialect] = DIALECTS;
      const rest = await begin(
        await post(server, dialect!.path, dialect!.ask({ ...slow, tokens: 60, stream: true })),
      );
      server.signalAll(name);
      expect((await rest()).slice(-400)).toMatch(dialect!.end);
      expect(await server.ended).toEqual({ code: 0, signal: null });
      expect(server.log()).not.toMatch(/ (?:warn|error) /);
    },
  );

  it("cuts answers that take too long, each in its dialect's words, and exits with 0", async () => {
    await using server = await startServe(["--model", slowFlag]);
    const streams = await Promise.all(
      DIALECTS.map(async (dialect) =>
        begin(await post(server, dialect.path, dialect.ask({ ...slow, tokens: 4000, stream: true }))),
      ),
    );
    server.signal("SIGTERM");
    const texts = await Promise.all(streams.map((rest) => rest()));
    for (const [index, { cut }] of DIALECTS.entries()) {
      const end = texts[index]?.slice(-300);
      expect(end).toMatch(cut);
      expect(end).toMatch(/told to end/);
    }
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  it("ends at once when it comes a second time", async () => {
    await using server = await startServe(["--model", slowFlag]);
    const [dialect] = DIALECTS;
    const rest = await begin(
      await post(server, dialect!.path, dialect!.ask({ ...slow, tokens: 4000, stream: true })),
    );
    server.signal("SIGTERM");
    await until(() => server.log().includes("ending"), "the drain");
    server.signal("SIGTERM");
    expect(await server.ended).toEqual({ code: 143, signal: null });
    await expect(rest()).rejects.toBeInstanceOf(Error);
    // Its engine does not outlive it.
    await until(() => !server.isAnyAlive(), "all processes to end");
  });

  it("is still a signal to a command that it interrupts", async () => {
    const { code } = await mull(
      ["run", "--model-file", slowFlag.slice("slow=".length), "Once", "--num-predict", "4000"],
      {
        onStart: (child) => child.stdout?.once("data", () => child.kill("SIGTERM")),
      },
    );
    expect(code).toBe(143);
  });

  it("while nothing runs, and while a model loads, is the end too", async () => {
    await using idle = await startServe();
    idle.signal("SIGINT");
    expect(await idle.ended).toEqual({ code: 0, signal: null });
    await using loading = await startServe();
    const [dialect] = DIALECTS;
    const response = post(loading, dialect!.path, dialect!.ask({ text: "Who are you?" })).catch(
      () => undefined,
    );
    await until(() => loading.log().includes("model loads"), "the load");
    loading.signal("SIGTERM");
    expect([200, 503]).toContain((await response)?.status);
    expect(await loading.ended).toEqual({ code: 0, signal: null });
  });
});

describe("models", () => {
  it("two answer at once, are listed, and are stopped", async () => {
    await using server = await startServe(["--model", slowFlag, "--keep-alive", "10m"]);
    const env = { MULL_HOST: server.url };
    const pair = [{ text: "Who are you?" }, { ...slow, tokens: 5 }];
    const texts = await Promise.all(
      DIALECTS.flatMap((dialect) => pair.map((question) => answer(server, dialect, question))),
    );
    for (const index of [0, 2, 4]) expect(texts[index]).toMatch(/I am pico/);
    // However many ask first, a model is loaded once.
    expect(server.log().match(/model loads model=pico/g)).toHaveLength(1);
    expect(server.log().match(/model loads model=slow/g)).toHaveLength(1);

    const listed = (await (await fetch(`${server.url}/api/ps`)).json()) as { models: { name: string }[] };
    expect(listed.models.map(({ name }) => name).sort()).toEqual(["pico:latest", "slow:latest"]);
    const ps = await mull(["ps"], { env });
    expect(ps.stdout).toMatch(/^NAME .*UNTIL\s*\n/);
    expect(ps.stdout).toMatch(/^pico:latest .*(?:9|10) minutes from now\s*$/m);
    expect(ps.stdout).toMatch(/^slow:latest .*(?:9|10) minutes from now\s*$/m);

    const stop = await mull(["stop", "slow"], { env });
    expect([stop.code, stop.stderr]).toEqual([0, "Stopped slow:latest\n"]);
    await until(async () => !(await mull(["ps"], { env })).stdout.includes("slow"), "slow to leave");
    const again = await mull(["stop", "slow"], { env });
    expect([again.code, again.stderr]).toEqual([3, expect.stringMatching(/no model "slow" loaded/)]);
    expect(await answer(server, DIALECTS[0]!, { text: "Who are you?" })).toMatch(/I am pico/);
    expect(server.log().match(/model loads model=pico/g)).toHaveLength(1);
  });

  it("make room for each other, and leave when they are not kept", async () => {
    await using server = await startServe(["--model", slowFlag, "--max-loaded", "1"]);
    const [dialect] = DIALECTS;
    const loaded = async (): Promise<string[]> => {
      const body = (await (await fetch(`${server.url}/api/ps`)).json()) as { models: { name: string }[] };
      return body.models.map(({ name }) => name);
    };
    await answer(server, dialect!, { text: "Who are you?" });
    expect(await loaded()).toEqual(["pico:latest"]);
    await answer(server, dialect!, { ...slow, tokens: 5 });
    expect(await loaded()).toEqual(["slow:latest"]);
    // Both at once, again and again: each waits for the other, and both are answered.
    const questions = Array.from({ length: 6 }, (_, index) =>
      index % 2 === 0 ? { text: "Who are you?" } : { ...slow, tokens: 5 },
    );
    await Promise.all(questions.map((question) => answer(server, dialect!, question)));
    expect(await loaded()).toHaveLength(1);
    const last = await post(server, "/api/chat", {
      ...dialect!.ask({ text: "Who are you?" }),
      keep_alive: 0,
    });
    expect(last.status).toBe(200);
    await until(async () => (await loaded()).length === 0, "the model to leave");
    expect(await metricOf(server.url, "mull_models_loaded")).toBe(0);
  });
});

describe("the log", () => {
  const isText = (line: string): boolean => /^\d{4}-\S+Z (?:debug|info) \w/.test(line);
  const isJson = (line: string): boolean => typeof (JSON.parse(line) as { time: unknown }).time === "string";
  it.each([
    ["text", isText],
    ["json", isJson],
  ])("as %s has no prompt, picture or key", async (format, isLine) => {
    await using server = await startServe([
      "--api-key",
      "sk-very-secret",
      "--log-format",
      format,
      "--log-level",
      "debug",
      "--parallel",
      "1",
    ]);
    const base64 = Buffer.from(testPicture(64, 48, 3)).toString("base64");
    const text = "The password is Xyzzy-7781.";
    for (const { path, ask } of DIALECTS) {
      const headers = { Authorization: "Bearer sk-very-secret" };
      const good = ask({ text, pictures: [{ base64 }] });
      const bodies = [
        good,
        { ...good, stream: true },
        { ...good, messages: [{ role: "wizard", content: text }] },
        ask({ text: `${text} `.repeat(300) }),
        ask({ text, pictures: [{ name: "/etc/Xyzzy-7781.png" }] }),
        ask({ text, pictures: [{ base64: base64.slice(0, 200) }] }),
        `{"model": "pico", "Xyzzy-7781": ${base64}`,
      ];
      const statuses = [];
      for (const body of bodies) {
        const response = await post(server, `${path}?secret=Xyzzy-7781`, body, { headers });
        await response.text();
        statuses.push(response.status);
      }
      expect(statuses).toEqual([200, 200, 400, 400, 400, expect.any(Number), 400]);
      expect((await post(server, path, good)).status).toBe(401);
      const wrong = { headers: { "x-api-key": "sk-Xyzzy-7781" } };
      expect((await post(server, path, good, wrong)).status).toBe(401);
    }
    const count = (): number =>
      server
        .log()
        .split("\n")
        .filter((line) => /\broute\b.*\bstatus\b/.test(line)).length;
    await until(() => count() >= 27, "the log");
    expect(server.log()).not.toMatch(/Xyzzy|password|sk-very|127\.0\.0\.1[^\n]*client/);
    expect(server.log()).not.toContain(base64.slice(60, 100));
    expect(server.log()).not.toMatch(/pico,? a small/);
    const lines = server.log().trim().split("\n").slice(1);
    expect(lines.filter((line) => !isLine(line))).toEqual([]);
  });
});

describe("a server that others could reach", () => {
  it.each(["0.0.0.0", "::", "192.0.2.1"])("%s without a key does not start", async (host) => {
    const { code, stderr, stdout } = await mull(["serve", "--host", host, "--port", "0"], {
      env: { MULL_HOST: "", MULL_API_KEY: "" },
    });
    expect(code).toBe(5);
    expect(stderr).toMatch(/needs an API key[^]*MULL_API_KEY[^]*--api-key-file[^]*127\.0\.0\.1/);
    expect(stderr).not.toMatch(/Serving/);
    expect(stdout).toBe("");
  });

  it("with a file of keys does, and asks for one", async () => {
    const file = join(folder.path, "keys");
    await writeFile(file, "one\n");
    await using server = await startServe(["--host", "0.0.0.0", "--api-key-file", file]);
    expect((await fetch(`${server.url}/api/tags`)).status).toBe(401);
    const headers = { Authorization: "Bearer one" };
    expect((await fetch(`${server.url}/api/tags`, { headers })).status).toBe(200);
  });
});
