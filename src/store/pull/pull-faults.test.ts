import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newStore } from "../../../test/support/new-store.ts";
import {
  type Behaviour,
  type RangeServer,
  sha256,
  startRangeServer,
  testBytes,
} from "../../../test/support/range-server.ts";
import { remoteBlob, remoteModel } from "../../../test/support/remote-models.ts";
import { MullError } from "../../spec/errors.ts";
import type { ModelStore } from "../model-store.ts";
import type { RemoteBlob, RemoteModel } from "../remote-model.ts";
import { type PullOptions, pullModel } from "./pull-model.ts";

const MODEL = testBytes(30_000_001);
const CONFIG = Buffer.from("{}");
const HTML = "<!doctype html><title>Log in</title>";

let server: RangeServer;
let store: ModelStore;
beforeEach(async () => {
  server = await startRangeServer({ "/model": MODEL, "/config": CONFIG });
  store = newStore();
});
afterEach(() => server[Symbol.asyncDispose]());

function remoteOf(changes: Partial<RemoteBlob> = {}): RemoteModel {
  return remoteModel([
    remoteBlob(`${server.url}/model`, MODEL, changes),
    remoteBlob(`${server.url}/config`, CONFIG),
  ]);
}

/** Does not really wait between tries. */
async function pull(options: PullOptions = {}, remote = remoteOf()): Promise<number[]> {
  const waits: number[] = [];
  const sleep = async (milliseconds: number): Promise<void> => {
    waits.push(milliseconds);
    await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await pullModel(store, remote, { connections: 4, stallMs: 300, sleep, ...options });
  return waits;
}

async function failure(options: PullOptions = {}, remote = remoteOf()): Promise<MullError> {
  const error: unknown = await pull(options, remote).catch((thrown: unknown) => thrown);
  expect(MullError.is(error)).toBe(true);
  return error as MullError;
}

function isStored(): boolean {
  const path = store.paths.blob(sha256(MODEL) as never);
  return existsSync(path) && readFileSync(path).equals(MODEL);
}

function bytesSent(path = "/model"): number {
  return server.sent
    .filter((range) => range.path === path)
    .reduce((sum, { start, end }) => sum + end - start, 0);
}

/** Only requests for the model misbehave. */
function misbehave(behave: (start: number, count: number) => Behaviour): void {
  server.behave = ({ path, start, count }) => (path === "/model" ? behave(start, count) : {});
}

describe("a server that does something else than it was asked for", () => {
  it("ignores ranges: one connection gets all, once", async () => {
    misbehave(() => ({ ignoreRange: true }));
    await pull();
    expect(isStored()).toBe(true);
    // A second connection was let go as soon as it showed where it begins.
    expect(bytesSent()).toBeLessThan(1.5 * MODEL.length);
  });

  it("ignores ranges and the length", async () => {
    misbehave(() => ({ ignoreRange: true, total: "unknown" }));
    await pull();
    expect(isStored()).toBe(true);
  });

  it("ignores ranges and breaks in the middle: what is there is skipped", async () => {
    misbehave((_, count) => ({ ignoreRange: true, ...(count < 3 ? { resetAfter: 12_000_000 } : {}) }));
    await pull({ connections: 1 });
    expect(isStored()).toBe(true);
  });

  it("sends more than it was asked for", async () => {
    misbehave(() => ({ extra: 100_000 }));
    await pull();
    expect(isStored()).toBe(true);
  });

  it("has another size than the manifest says", async () => {
    misbehave(() => ({ total: 1234 }));
    const error = await failure();
    expect(error.code).toBe("digest_mismatch");
    expect(error.message).toMatch(/registry\.test has 1234 bytes under sha256:.*the manifest says 30000001/);
  });

  it("sends a page instead", async () => {
    misbehave(() => ({ body: HTML, headers: { "content-length": String(HTML.length) } }));
    const error = await failure();
    expect(error).toMatchObject({ code: "digest_mismatch", details: { total: HTML.length } });
    expect(server.requests).toBeLessThanOrEqual(2);
  });

  it("sends a page of unknown length instead", async () => {
    misbehave(() => ({ body: HTML, headers: { "transfer-encoding": "chunked" } }));
    expect((await failure()).code).toBe("server_unreachable");
  });

  it("sends a page instead of a small blob", async () => {
    server.behave = ({ path }) => (path === "/config" ? { body: HTML } : {});
    expect((await failure()).code).toBe("digest_mismatch");
  });

  it("sends another range", async () => {
    misbehave((start) => (start > 0 ? { shift: 1000 } : {}));
    const error = await failure();
    expect(error.code).toBe("server_unreachable");
    expect(error.message).toMatch(/was asked for .* from byte (\d+) on, and sends it from byte \d+ on/);
  });

  it("sends another content: tried twice, then told, and nothing is kept", async () => {
    misbehave(() => ({ content: testBytes(MODEL.length, 9) }));
    const error = await failure();
    expect(error.code).toBe("digest_mismatch");
    expect(error.message).toMatch(/registry\.test sends as sha256:/);
    expect(bytesSent()).toBeGreaterThanOrEqual(2 * MODEL.length);
    // On a busy machine connections that seem slow are asked for the same again: bytes do not count tries exactly.
    expect(bytesSent()).toBeLessThan(6 * MODEL.length);
    expect(readdirSync(store.paths.partial)).toEqual([]);
    expect(isStored()).toBe(false);
  });

  it("sends another content once", async () => {
    const other = testBytes(MODEL.length, 9);
    let left = MODEL.length;
    server.behave = ({ path, start, end }) => {
      if (path !== "/model" || left <= 0) return {};
      left -= end - start;
      return { content: other };
    };
    await pull();
    expect(isStored()).toBe(true);
  });

  it("sends another small blob", async () => {
    server.behave = ({ path }) => (path === "/config" ? { content: Buffer.from("[]") } : {});
    expect((await failure()).code).toBe("digest_mismatch");
    expect(bytesSent("/config")).toBe(4);
    server.behave = () => ({});
    await pull();
  });
});

describe("a connection that breaks", () => {
  it("is asked for the rest and nothing else", async () => {
    misbehave((_, count) => (count % 2 === 0 ? { resetAfter: 1_500_000 } : {}));
    await pull();
    expect(isStored()).toBe(true);
    // What was sent and did not arrive before the reset is at most what lies in the buffers of a socket.
    const unique = MODEL.length;
    expect(bytesSent()).toBeLessThan(unique * 1.5);
  });

  it("gives up after six tries without a byte", async () => {
    misbehave(() => ({ resetAfter: 0 }));
    const waits: number[] = [];
    const sleep = async (milliseconds: number): Promise<void> => void waits.push(milliseconds);
    const error = await failure({ sleep });
    expect(error.code).toBe("server_unreachable");
    expect(server.requests).toBe(6);
    expect(waits.length).toBe(5);
    for (const [index, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(500 * 2 ** index);
      expect(wait).toBeLessThanOrEqual(1500 * 2 ** index);
    }
  });

  it("begins to count anew with every byte", async () => {
    misbehave(() => ({ resetAfter: 1_000_000 }));
    await pull({ retries: 2, connections: 1 });
    expect(isStored()).toBe(true);
    expect(server.requests).toBeGreaterThan(20);
  });

  it("stalls: it is dropped, and its rest asked for again", async () => {
    misbehave((_, count) => (count < 3 ? { stallAfter: 1_000_000 } : {}));
    await pull();
    expect(isStored()).toBe(true);
  });

  it("stalls before the answer", async () => {
    const remote = remoteOf({ open: () => new Promise(() => {}) });
    const error = await failure({ retries: 2, stallMs: 50 }, remote);
    expect(error.message).toMatch(/nothing came for 0\.1 s|nothing came for 0 s/);
  });

  it("is so slow that others take its work", async () => {
    misbehave((_, count) => (count === 0 ? { pauseMs: 50 } : {}));
    await pull();
    expect(isStored()).toBe(true);
    const slow = server.sent.find(({ path }) => path === "/model")!;
    expect(slow.end - slow.start).toBeLessThan(3_750_001);
  });
});

describe("a server with a status", () => {
  it("is asked again when it wants that", async () => {
    misbehave((_, count) => (count < 2 ? { status: 503, headers: { "retry-after": "7" } } : {}));
    const waits = await pull();
    expect(isStored()).toBe(true);
    expect(waits).toEqual([7000, 7000]);
  });

  it("serves only two at a time", async () => {
    let serving = 0;
    misbehave(() => (server.open > 2 && (serving += 1) > 0 ? { status: 429 } : { pauseMs: 1 }));
    await pull();
    expect(isStored()).toBe(true);
    expect(serving).toBeLessThan(6);
  });

  it.each([
    [401, "unauthorized"],
    [404, "model_not_found"],
  ])("%s is not asked again", async (status, code) => {
    misbehave(() => ({ status }));
    expect((await failure()).code).toBe(code);
    expect(server.requests).toBe(1);
  });

  it("that ends a download keeps what came", async () => {
    misbehave((start) => (start > 10_000_000 ? { status: 404 } : {}));
    expect((await failure()).code).toBe("model_not_found");
    const before = bytesSent();
    misbehave(() => ({}));
    await pull();
    expect(isStored()).toBe(true);
    expect(bytesSent() - before).toBeLessThan(MODEL.length);
  });
});

describe("what nothing tells from other content", () => {
  it("leaves nothing when its download fails", async () => {
    misbehave((start) => (start > 10_000_000 ? { status: 404 } : {}));
    const error = await failure({}, remoteOf({ digest: undefined, label: "model.gguf" }));
    expect(error.code).toBe("model_not_found");
    expect(readdirSync(store.paths.partial)).toEqual([]);
  });
});

describe("whoever leaves", () => {
  it("leaves no connection", async () => {
    misbehave(() => ({ pauseMs: 5 }));
    const controller = new AbortController();
    const pulled = failure({
      signal: controller.signal,
      onProgress: ({ completed = 0 }) => completed > 1e6 && controller.abort(),
    });
    expect((await pulled).code).toBe("aborted");
    await expect.poll(() => server.open).toBe(0);
  });

  it("leaves although the server does not answer", async () => {
    const controller = new AbortController();
    const remote = remoteOf({
      open: () => (setTimeout(() => controller.abort(), 10), new Promise(() => {})),
    });
    expect((await failure({ signal: controller.signal, stallMs: 60_000 }, remote)).code).toBe("aborted");
  });

  it("leaves while nothing is tried", async () => {
    misbehave(() => ({ status: 503 }));
    const controller = new AbortController();
    const sleep = (_: number, signal: AbortSignal): Promise<void> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
        controller.abort();
      });
    expect((await failure({ signal: controller.signal, sleep })).code).toBe("aborted");
  });

  it("who has left before asks for nothing", async () => {
    expect((await failure({ signal: AbortSignal.abort() })).code).toBe("aborted");
    expect(server.requests).toBe(0);
  });
});
