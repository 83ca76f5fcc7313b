import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { testBytes } from "../../../../test/support/range-server.ts";
import { create, storeServer, tinyFiles, type StoreServer } from "../../../../test/support/store-server.ts";
import { temporaryFolder } from "../../../../test/support/tiny-models.ts";
import { digestOf } from "../../../store/digest.ts";

const folder = temporaryFolder();

describe("/api/blobs", () => {
  const bytes = testBytes(100_000);
  const digest = digestOf(bytes);
  const head = async (server: StoreServer, path = `/api/blobs/${digest}`): Promise<Response> =>
    server.app.request(path, { method: "HEAD" });

  it("takes a file once, and tells whether it is there", async () => {
    const server = await storeServer();
    expect((await head(server)).status).toBe(404);
    expect(await server.upload(bytes, digest)).toBe(201);
    expect((await head(server)).status).toBe(200);
    expect((await head(server, `/api/blobs/${digest.replace(":", "-")}`)).status).toBe(200);
    expect(await server.upload(bytes, digest)).toBe(200);
    expect(readFileSync(server.store.paths.blob(digest)).equals(bytes)).toBe(true);
    const get = await server.app.request(`/api/blobs/${digest}`);
    expect([get.status, get.headers.get("allow")]).toEqual([405, "HEAD, OPTIONS, POST"]);
  });

  it("refuses other bytes than the digest's, and leaves nothing of them", async () => {
    const server = await storeServer();
    const response = await server.app.request(`/api/blobs/${digest}`, { method: "POST", body: "other" });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: string }).error).toContain(digest);
    expect((await head(server)).status).toBe(404);
    expect(readdirSync(server.store.paths.partial)).toEqual([]);
    for (const wrong of ["sha256:abc", "..%2F..%2Fetc%2Fpasswd", `md5:${"0".repeat(64)}`]) {
      const answer = await server.app.request(`/api/blobs/${wrong}`, { method: "POST", body: "x" });
      expect(answer.status).toBe(400);
    }
  });

  it("leaves nothing of an upload that breaks off", async () => {
    const server = await storeServer();
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(bytes.subarray(0, 50_000)),
      pull: (controller) => controller.error(new Error("gone")),
    });
    const request = { method: "POST", body, duplex: "half" } as RequestInit;
    const response = await server.app.request(`/api/blobs/${digest}`, request);
    expect(response.status).toBe(499);
    expect(readdirSync(server.store.paths.partial)).toEqual([]);
    expect((await head(server)).status).toBe(404);
  });

  it("may take longer than other requests", async () => {
    const server = await storeServer({ options: { requestTimeoutMs: 20 } });
    const slow = new ReadableStream({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 60));
        controller.enqueue(bytes);
        controller.close();
      },
    });
    const request = { method: "POST", body: slow, duplex: "half" } as RequestInit;
    expect((await server.app.request(`/api/blobs/${digest}`, request)).status).toBe(201);
  });

  it("keeps an upload until a model is made of it, whoever tidies up meanwhile", async () => {
    const server = await storeServer();
    expect(await server.upload(bytes, digest)).toBe(201);
    await server.store.prune();
    expect((await head(server)).status).toBe(200);
    // It is no model, so none was made of it: it waits for a better request.
    const failed = await server.ask("POST", "/api/create", { model: "x", files: { "x.gguf": digest } });
    expect(failed.text).toMatch(/error/);
    await server.store.prune();
    expect((await head(server)).status).toBe(200);

    const tiny = await tinyFiles(folder.path);
    expect((await create(server, "mine", tiny)).body).toEqual({ status: "success" });
    expect((await server.ask("DELETE", "/api/delete", { model: "mine" })).status).toBe(200);
    expect(existsSync(server.store.paths.blob(digestOf(tiny.model)))).toBe(false);
  });

  it("is for whoever has a key", async () => {
    const server = await storeServer({ options: { apiKeys: ["secret"] } });
    for (const [method, path] of [
      ["HEAD", `/api/blobs/${digest}`],
      ["POST", `/api/blobs/${digest}`],
      ["POST", "/api/pull"],
      ["POST", "/api/push"],
      ["POST", "/api/copy"],
      ["POST", "/api/create"],
      ["DELETE", "/api/delete"],
    ] as const) {
      expect([path, (await server.app.request(path, { method })).status]).toEqual([path, 401]);
    }
    expect(existsSync(join(server.home, "models"))).toBe(false);
  });
});
