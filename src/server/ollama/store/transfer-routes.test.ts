import { describe, expect, it } from "vitest";
import { startRangeServer, testBytes } from "../../../../test/support/range-server.ts";
import { publish } from "../../../../test/support/small-registry.ts";
import { chat, names, statuses, storeServer, tinyFiles } from "../../../../test/support/store-server.ts";
import { temporaryFolder } from "../../../../test/support/tiny-models.ts";

const folder = temporaryFolder();

describe("/api/pull", () => {
  it("tells what it does in Ollama's words and order", async () => {
    await using registry = await startRangeServer();
    const tiny = await tinyFiles(folder.path);
    const { name } = publish(registry, "tiny", [
      { kind: "model", content: tiny.model },
      { kind: "projector", content: tiny.projector },
    ]);
    const server = await storeServer();
    const pulled = await server.ask("POST", "/api/pull", { model: name });
    expect(pulled.status).toBe(200);
    expect(statuses(pulled)).toEqual([
      "pulling manifest",
      "pulling <digest>",
      "verifying sha256 digest",
      "writing manifest",
      "success",
    ]);
    const blobs = pulled.lines.filter(({ status }) => /^pulling [0-9a-f]{12}$/.test(status));
    for (const { status, digest, total, completed } of blobs) {
      expect(digest?.slice(7, 19)).toBe(status.slice(8));
      expect(completed).toBeLessThanOrEqual(total ?? -1);
    }
    // Every blob is complete at its last line.
    for (const digest of new Set(blobs.map((line) => line.digest))) {
      const last = blobs.findLast((line) => line.digest === digest);
      expect(last?.completed).toBe(last?.total);
    }
    const short = name.replace("http://", "");
    expect((await chat(server, short)).status).toBe(200);
    expect(await names(server)).toContain(`${short}:latest`);
    const whole = await server.ask("POST", "/api/pull", { name, stream: false });
    expect(whole).toMatchObject({ status: 200, lines: [{ status: "success" }] });

    const more = publish(registry, "tiny", [
      { kind: "model", content: (await tinyFiles(folder.path, 3)).model },
    ]);
    expect(statuses(await server.ask("POST", "/api/pull", { model: more.name }))).toContain(
      "removing unused layers",
    );
    await chat(server, short);
    expect(server.loads).toHaveLength(2);
  });

  it("fails with a status of its own, or with a line once it has begun", async () => {
    await using registry = await startRangeServer();
    const server = await storeServer();
    const name = `${registry.url}/library/none`;
    expect(await server.ask("POST", "/api/pull", { model: name, stream: false })).toMatchObject({
      status: 404,
      body: { error: expect.stringMatching(/none/) },
    });
    const streamed = await server.ask("POST", "/api/pull", { model: name });
    expect(streamed).toMatchObject({
      status: 200,
      lines: [{ status: "pulling manifest" }, { error: expect.stringMatching(/none/) }],
    });
    const { name: bad, blobPath } = publish(registry, "bad", [{ kind: "model", content: testBytes(1000) }]);
    registry.blobs.set(blobPath, testBytes(1000, 2));
    const damaged = await server.ask("POST", "/api/pull", { model: bad });
    expect(damaged.lines.at(-1)?.error).toMatch(/digest|sha256/i);
    expect(damaged.text).not.toContain(server.home);
    expect(await server.store.list()).toEqual([]);
  });

  it("ends with its client, and goes on where it ended", async () => {
    await using registry = await startRangeServer();
    const content = testBytes(3 * 1024 ** 2);
    const { name, blobPath } = publish(registry, "large", [{ kind: "model", content }]);
    registry.behave = ({ path }) => (path === blobPath ? { pauseMs: 5 } : {});
    const server = await storeServer();
    const client = new AbortController();
    const response = await server.app.request("/api/pull", {
      method: "POST",
      body: JSON.stringify({ model: name }),
      signal: client.signal,
    });
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (!/"completed":[1-9]\d{5}/.test(text)) text += decoder.decode((await reader.read()).value);
    client.abort();
    await reader.cancel();
    while (registry.open > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const sent = registry.sent.filter(({ path }) => path === blobPath);
    const before = sent.reduce((sum, { start, end }) => sum + end - start, 0);
    expect(before).toBeLessThan(content.length);
    registry.sent.length = 0;
    registry.behave = () => ({});
    expect((await server.ask("POST", "/api/pull", { model: name })).lines.at(-1)).toEqual({
      status: "success",
    });
    const after = registry.sent
      .filter(({ path }) => path === blobPath)
      .reduce((sum, { start, end }) => sum + end - start, 0);
    expect(after).toBeGreaterThan(0);
    expect(after).toBeLessThan(content.length);
  });

  it("is one download for several clients, which ends when the last has gone", async () => {
    await using registry = await startRangeServer();
    const content = testBytes(3 * 1024 ** 2);
    const { name, blobPath } = publish(registry, "shared", [{ kind: "model", content }]);
    registry.behave = ({ path }) => (path === blobPath ? { pauseMs: 2 } : {});
    const server = await storeServer();
    const leaving = new AbortController();
    const left = server.ask("POST", "/api/pull", { model: name }, leaving.signal).catch(() => {});
    const others = [1, 2].map(() => server.ask("POST", "/api/pull", { model: name }));
    while (!registry.sent.some(({ path }) => path === blobPath)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    leaving.abort();
    for (const { lines } of await Promise.all(others)) expect(lines.at(-1)).toEqual({ status: "success" });
    await left;
    const bytes = registry.sent
      .filter(({ path }) => path === blobPath)
      .reduce((sum, { start, end }) => sum + end - start, 0);
    // What fast connections took over from slow ones may come twice.
    expect(bytes).toBeLessThan(1.5 * content.length);
  });

  it("is no request to a model", async () => {
    await using registry = await startRangeServer();
    const { name } = publish(registry, "t", [
      { kind: "model", content: (await tinyFiles(folder.path)).model },
    ]);
    const server = await storeServer();
    const entered: string[] = [];
    server.context.admission.enter = (_, model) => {
      entered.push(model);
      return () => {};
    };
    await server.ask("POST", "/api/pull", { model: name });
    expect(entered).toEqual([]);
  });
});
