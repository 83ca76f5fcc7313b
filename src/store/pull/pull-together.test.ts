import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newStore } from "../../../test/support/new-store.ts";
import { startPullProcess } from "../../../test/support/pull-process.ts";
import { type RangeServer, sha256, startRangeServer, testBytes } from "../../../test/support/range-server.ts";
import { remoteBlob, remoteModel } from "../../../test/support/remote-models.ts";
import type { Digest } from "../digest.ts";
import type { ModelStore } from "../model-store.ts";
import { openStore } from "../open-store.ts";
import type { RemoteModel } from "../remote-model.ts";
import type { TransferProgress } from "../transfer-progress.ts";
import { pullModel } from "./pull-model.ts";

const MODEL = testBytes(20_000_001);
const CONFIG = Buffer.from("{}");
const DIGEST = sha256(MODEL) as Digest;

let server: RangeServer;
let store: ModelStore;
beforeEach(async () => {
  server = await startRangeServer({ "/model": MODEL, "/config": CONFIG });
  server.behave = () => ({ pauseMs: 2 });
  store = newStore();
});
afterEach(() => server[Symbol.asyncDispose]());

const remoteOf = (name = "test"): RemoteModel =>
  remoteModel([remoteBlob(`${server.url}/model`, MODEL), remoteBlob(`${server.url}/config`, CONFIG)], name);
const bytesSent = (): number => server.sent.reduce((sum, { start, end }) => sum + end - start, 0);
const isStored = (): boolean =>
  existsSync(store.paths.blob(DIGEST)) && readFileSync(store.paths.blob(DIGEST)).equals(MODEL);

/** Every byte once, but for what a connection that seemed slow had on the way when another took its rest. */
function expectSentOnce(): void {
  expect(bytesSent()).toBeGreaterThanOrEqual(MODEL.length + CONFIG.length);
  expect(bytesSent()).toBeLessThan(1.8 * (MODEL.length + CONFIG.length));
}

describe("pulls of one model at the same time", () => {
  it("in one process share one download, and each is told of it", async () => {
    const lines = Array.from({ length: 20 }, (): TransferProgress[] => []);
    const pulls = lines.map((own, index) =>
      pullModel(store, remoteOf(`model-${index % 3}`), { onProgress: (line) => own.push(line) }),
    );
    await Promise.all(pulls);
    expect(isStored()).toBe(true);
    expectSentOnce();
    for (const own of lines) {
      const model = own.filter(({ digest }) => digest === DIGEST);
      expect(model.at(-1)?.completed).toBe(MODEL.length);
      expect(own.at(-1)).toEqual({ status: "success" });
    }
    expect((await store.list()).length).toBe(3);
    expect(readdirSync(store.paths.locks)).toEqual([]);
  });

  it("go on when one of two leaves", async () => {
    const controller = new AbortController();
    const leaving = pullModel(store, remoteOf(), {
      signal: controller.signal,
      onProgress: ({ completed = 0 }) => completed > 1_000_000 && controller.abort(),
    });
    const staying = pullModel(store, remoteOf());
    await expect(leaving).rejects.toMatchObject({ code: "aborted" });
    await staying;
    expect(isStored()).toBe(true);
    expectSentOnce();
  });

  it("end when all have left, and can begin again at once", async () => {
    const controller = new AbortController();
    const onProgress = ({ completed = 0 }: TransferProgress): void => {
      if (completed > 1_000_000) controller.abort();
    };
    const pulls = [1, 2, 3].map(() =>
      pullModel(store, remoteOf(), { signal: controller.signal, onProgress }),
    );
    const again = Promise.allSettled(pulls.map((pull) => pull.catch(() => pullModel(store, remoteOf()))));
    for (const pull of pulls) await expect(pull).rejects.toMatchObject({ code: "aborted" });
    expect((await again).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "fulfilled"]);
    expect(isStored()).toBe(true);
  });

  it("go on when one of two fails to listen", async () => {
    const failing = pullModel(store, remoteOf(), {
      onProgress: ({ completed = 0 }) => {
        if (completed > 1_000_000) throw new Error("no ears");
      },
    });
    const staying = pullModel(store, remoteOf());
    await expect(failing).rejects.toThrow("no ears");
    await staying;
    expectSentOnce();
  });

  it("share the failure", async () => {
    server.behave = () => ({ status: 404 });
    const results = await Promise.allSettled([1, 2, 3].map(() => pullModel(store, remoteOf())));
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(server.requests).toBe(1);
    server.behave = () => ({});
    await pullModel(store, remoteOf());
  });

  it("in two processes fetch everything once", { timeout: 120_000 }, async () => {
    const blobs = [
      { url: `${server.url}/model`, digest: DIGEST, size: MODEL.length },
      { url: `${server.url}/config`, digest: sha256(CONFIG), size: CONFIG.length },
    ];
    server.behave = () => ({ pauseMs: 20 });
    const [one, two] = [startPullProcess(store.paths.root, blobs), startPullProcess(store.paths.root, blobs)];
    expect(await Promise.all([one.exit, two.exit])).toEqual([0, 0]);
    expect(isStored()).toBe(true);
    expectSentOnce();
    for (const { output } of [one, two]) expect(output()).toContain('"status":"success"');
  });

  it("in two processes goes on where the first was killed", { timeout: 120_000 }, async () => {
    const blobs = [
      { url: `${server.url}/model`, digest: DIGEST, size: MODEL.length },
      { url: `${server.url}/config`, digest: sha256(CONFIG), size: CONFIG.length },
    ];
    server.behave = () => ({ pauseMs: 20 });
    const first = startPullProcess(store.paths.root, blobs);
    await first.started;
    const waiting = pullModel(openStore({ root: store.paths.root }), remoteOf(), {
      onProgress: ({ digest, completed = 0 }) => {
        // The waiter sees how far the other is.
        if (digest === DIGEST && completed > 0) first.child.kill("SIGKILL");
      },
    });
    await waiting;
    await first.exit;
    expect(isStored()).toBe(true);
    expect(bytesSent()).toBeLessThan(2 * MODEL.length);
  });
});
