import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../../src/engine/random.ts";
import { testPicture } from "../../bench/test-picture.ts";
import {
  killServersAtEnd,
  metricOf,
  type ServedCommand,
  startServe,
  until,
} from "../support/served-command.ts";
import { temporaryFolder, tinyPair } from "../support/tiny-models.ts";
import { answer, DIALECTS, post, type WireQuestion } from "../support/wire-dialects.ts";

/** Many clients of one `mull serve`: who asks together is answered as if alone, and who leaves leaves nothing behind. */
const folder = temporaryFolder();
killServersAtEnd();

const PICTURES = [1, 2, 3, 4].map((seed) => Buffer.from(testPicture(96, 64, seed)).toString("base64"));

/** Distinct questions; one in five is about no picture. */
function question(index: number): WireQuestion {
  const kinds = [
    "What colour is it?",
    "What is this?",
    "How many are there?",
    "Where is it?",
    "Who are you?",
  ];
  const text = `${kinds[index % kinds.length]} ${index}`;
  const base64 = PICTURES[index % PICTURES.length] as string;
  return index % 5 === 4 ? { text, tokens: 24 } : { text, tokens: 24, pictures: [{ base64 }] };
}

const dialectOf = (index: number): (typeof DIALECTS)[number] => DIALECTS[index % DIALECTS.length]!;

describe("many clients", () => {
  let server: ServedCommand;
  beforeAll(async () => {
    server = await startServe(["--parallel", "8", "--log-level", "warn"]);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  async function expectIdle(): Promise<void> {
    await until(
      async () => (await metricOf(server.url, "mull_requests_pending")) === 0,
      "the requests to leave",
    );
    await until(
      async () =>
        (await metricOf(server.url, "mull_requests_running")) +
          (await metricOf(server.url, "mull_requests_waiting")) ===
        0,
      "the engine to rest",
    );
    expect(await metricOf(server.url, "mull_models_loaded")).toBe(1);
  }

  it("200 at once are each given their own answer", async () => {
    const indices = Array.from({ length: 200 }, (_, index) => index);
    const alone: string[] = [];
    for (const index of indices) alone.push(await answer(server, dialectOf(index), question(index)));
    expect(new Set(alone).size).toBeGreaterThan(3);
    const together = await Promise.all(
      indices.map((index) => answer(server, dialectOf(index), question(index))),
    );
    expect(together).toEqual(alone);
    await expectIdle();
  });

  it("300 with streams that are cut at any time leave nothing behind", async () => {
    const random = seededRandom(7);
    const expected = await answer(server, DIALECTS[0]!, question(0));
    // Those that this process keeps open for its next requests.
    const connections = await metricOf(server.url, "mull_http_connections");
    const unended: string[] = [];
    let cut = 0;
    let whole = 0;
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < 300) {
        const index = next++;
        const { path, ask, end } = dialectOf(index);
        const stop = new AbortController();
        const timer = random() < 0.7 ? setTimeout(() => stop.abort(), random() * 250) : undefined;
        const body = ask({ ...question(index), tokens: 60, stream: random() < 0.8 });
        try {
          const response = await post(server, path, body, { signal: stop.signal });
          const text = await response.text();
          expect(response.status).toBe(200);
          if (body["stream"] === true && !end.test(text)) unended.push(text.slice(-300));
          whole += 1;
        } catch (error) {
          if (!stop.signal.aborted) throw error;
          cut += 1;
        } finally {
          clearTimeout(timer);
        }
      }
    };
    await Promise.all(Array.from({ length: 20 }, work));
    expect(unended).toEqual([]);
    expect(cut + whole).toBe(300);
    expect(Math.min(cut, whole)).toBeGreaterThan(20);
    await expectIdle();
    expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ status: "ok" });
    await until(
      async () => (await metricOf(server.url, "mull_http_connections")) <= connections + 20,
      "the broken connections to close",
    );
    expect(await answer(server, DIALECTS[0]!, question(0))).toBe(expected);
    expect(server.log()).not.toMatch(/ (?:warn|error) /);
  });
});

describe("a full server", () => {
  /** An endless answer, until the returned function is called. */
  async function occupy(server: ServedCommand, headers: Record<string, string> = {}): Promise<() => void> {
    const stop = new AbortController();
    const body = DIALECTS[0]!.ask({ model: "slow", text: "Once", tokens: 4000, stream: true });
    await post(server, "/api/chat", body, { headers, signal: stop.signal });
    return () => stop.abort();
  }

  async function slowModel(): Promise<string[]> {
    const text = {
      embedding: 512,
      feedForward: 1024,
      heads: 8,
      keyValueHeads: 8,
      vocabulary: 8192,
      contextLength: 4096,
    };
    return ["--model", `slow=${(await tinyPair(folder.path, { text })).model}`];
  }

  it("says 503 and when to come back, in each dialect, and takes requests again when there is room", async () => {
    await using server = await startServe([...(await slowModel()), "--parallel", "1", "--max-queue", "1"]);
    const leave = [await occupy(server)];
    const waiting = new AbortController();
    // This one waits: its answer has no head yet.
    const queued = post(server, "/api/chat", DIALECTS[0]!.ask({ model: "slow", text: "x", tokens: 3 }), {
      signal: waiting.signal,
    });
    await until(async () => (await metricOf(server.url, "mull_requests_pending")) === 2, "the queue");
    for (const { path, ask, isError, busy } of DIALECTS) {
      for (const stream of [false, true]) {
        const response = await post(server, path, ask({ model: "slow", text: "x", stream }));
        const body: unknown = await response.json();
        expect([response.status, isError(body)]).toEqual([busy, true]);
        expect(JSON.stringify(body)).toMatch(/busy/);
        expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
        expect(Number(response.headers.get("retry-after"))).toBeLessThanOrEqual(120);
      }
    }
    // Another model has a queue of its own.
    expect(await answer(server, DIALECTS[0]!, { text: "Who are you?" })).toMatch(/pico/);
    for (const end of leave) end();
    expect((await queued).status).toBe(200);
    expect(await metricOf(server.url, "mull_rejected_total")).toBe(6);
    expect(await answer(server, DIALECTS[1]!, { model: "slow", text: "x", tokens: 3 })).not.toBe("");
  });

  it("says 429 to a key that has too many requests, and answers others", async () => {
    await using server = await startServe([
      ...(await slowModel()),
      "--parallel",
      "4",
      "--api-key",
      "greedy",
      "--api-key",
      "modest",
    ]);
    const key = (name: string): Record<string, string> => ({ Authorization: `Bearer ${name}` });
    const leave = await Promise.all(Array.from({ length: 4 }, () => occupy(server, key("greedy"))));
    const stop = new AbortController();
    const queued = Array.from({ length: 60 }, () =>
      post(server, "/api/chat", DIALECTS[0]!.ask({ model: "slow", text: "x" }), {
        headers: key("greedy"),
        signal: stop.signal,
      }).catch(() => undefined),
    );
    const health = async (): Promise<number> =>
      Number(
        /^mull_requests_pending\{[^}]*\} (\d+)/m.exec(
          await (await fetch(`${server.url}/metrics`, { headers: key("modest") })).text(),
        )?.[1] ?? 0,
      );
    await until(async () => (await health()) === 64, "64 requests");
    for (const { path, ask, isError } of DIALECTS) {
      const response = await post(server, path, ask({ text: "x" }), { headers: key("greedy") });
      const body: unknown = await response.json();
      expect([response.status, isError(body)]).toEqual([429, true]);
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
      const other = await post(server, path, ask({ text: "Who are you?" }), { headers: key("modest") });
      expect(other.status).toBe(200);
    }
    stop.abort();
    for (const end of leave) end();
    await Promise.all(queued);
    await until(async () => (await health()) === 0, "all to leave");
    const again = await post(server, "/api/chat", DIALECTS[0]!.ask({ text: "Who are you?" }), {
      headers: key("greedy"),
    });
    expect(again.status).toBe(200);
  });
});
