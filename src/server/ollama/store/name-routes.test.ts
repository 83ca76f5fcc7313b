import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { say } from "../../../../test/support/fake-server.ts";
import { chat, create, names, storeServer, tinyFiles } from "../../../../test/support/store-server.ts";
import { putOllamaModel } from "../../../../test/support/tiny-store.ts";
import { temporaryFolder } from "../../../../test/support/tiny-models.ts";
import type { StreamPart } from "../../../spec/stream.ts";
import { saveModel } from "../../../store/saved-model.ts";

const folder = temporaryFolder();

describe("/api/copy and /api/delete", () => {
  it("gives a second name, and takes one away", async () => {
    const server = await storeServer();
    await create(server, "one", await tinyFiles(folder.path));
    const copied = await server.ask("POST", "/api/copy", { source: "one", destination: "me/two:v1" });
    expect([copied.status, copied.text]).toEqual([200, ""]);
    expect(await names(server)).toEqual(expect.arrayContaining(["one:latest", "me/two:v1"]));
    const removed = await server.ask("DELETE", "/api/delete", { name: "ONE" });
    expect([removed.status, removed.text]).toEqual([200, ""]);
    expect((await chat(server, "one")).status).toBe(404);
    expect((await chat(server, "me/two:v1")).status).toBe(200);
    await server.ask("DELETE", "/api/delete", { model: "me/two:v1" });
    expect(readdirSync(server.store.paths.blobs)).toEqual([]);
  });

  it("answers in Ollama's words what is not there", async () => {
    const server = await storeServer();
    expect(await server.ask("DELETE", "/api/delete", { model: "none" })).toMatchObject({
      status: 404,
      body: { error: "model 'none' not found" },
    });
    expect(await server.ask("POST", "/api/copy", { source: "none", destination: "x" })).toMatchObject({
      status: 404,
      body: { error: "model 'none' not found" },
    });
    for (const [method, path, body] of [
      ["DELETE", "/api/delete", {}],
      ["DELETE", "/api/delete", { model: "/etc/passwd" }],
      ["DELETE", "/api/delete", { model: "../../x" }],
      ["DELETE", "/api/delete", { model: "x\u0000y" }],
      ["DELETE", "/api/delete", { model: "🦙" }],
      ["DELETE", "/api/delete", { model: "x".repeat(100_000) }],
      ["DELETE", "/api/delete", { model: "pico" }],
      ["POST", "/api/copy", { source: "pico", destination: "x" }],
      ["POST", "/api/copy", { source: "x", destination: "pico" }],
      ["POST", "/api/copy", { source: "x" }],
      ["POST", "/api/copy", { source: "x", destination: "a b" }],
      ["POST", "/api/push", { model: "C:\\x" }],
      ["POST", "/api/pull", { model: "pico" }],
      ["POST", "/api/pull", { model: "~/x" }],
      ["POST", "/api/pull", { model: "x.gguf" }],
      ["POST", "/api/pull", { model: "ftp://host/x" }],
      ["POST", "/api/pull", { model: "https://me:secret@host/x.gguf" }],
    ] as const) {
      const { status, text } = await server.ask(method, path, body);
      expect([body, status]).toEqual([body, 400]);
      expect(text.length).toBeLessThan(1000);
      expect(text).not.toMatch(/mull-server|secret/);
    }
    expect((await server.ask("POST", "/api/push", { model: "none" })).status).toBe(404);
  });

  it("removes saved models by the name that the list shows, and damaged ones", async () => {
    const server = await storeServer();
    const { paths } = await tinyFiles(folder.path);
    await saveModel("mine", { load: { model: paths.model }, generation: {}, messages: [] }, server.env);
    expect(await names(server)).toContain("mine:latest");
    expect((await server.ask("POST", "/api/create", { model: "mine", from: "pico" })).status).toBe(400);
    expect((await chat(server, "mine:latest")).status).toBe(200);
    expect((await server.ask("DELETE", "/api/delete", { model: "mine:latest" })).status).toBe(200);
    expect((await chat(server, "mine:latest")).status).toBe(404);

    const { manifestPath } = putOllamaModel(join(server.home, "models"), { model: "broken" }, []);
    writeFileSync(manifestPath, "{");
    const shown = await server.ask("POST", "/api/show", { model: "broken" });
    expect(shown.status).toBe(422);
    expect(shown.text).not.toContain(server.home);
    expect((await server.ask("DELETE", "/api/delete", { model: "broken" })).status).toBe(200);
  });

  it("lets running answers end before a removed model is unloaded", async () => {
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    async function* slowly(): AsyncGenerator<StreamPart> {
      yield { type: "text-delta", id: "0", delta: "Once" };
      await gate;
      yield* say(" more.");
    }
    const server = await storeServer({ answer: slowly });
    const tiny = await tinyFiles(folder.path);
    await create(server, "m", tiny);
    const answering = chat(server, "m");
    while (server.context.models.loaded()[0]?.leases !== 1) await new Promise(setImmediate);
    expect((await server.ask("DELETE", "/api/delete", { model: "m" })).status).toBe(200);
    expect(server.closed()).toBe(0);
    expect((await chat(server, "m")).status).toBe(404);
    // The same files under the same name: a new model all the same, once the old one is gone.
    await create(server, "m", tiny);
    const again = chat(server, "m");
    go();
    expect(await answering).toMatchObject({ status: 200, body: { message: { content: "Once more." } } });
    expect((await again).status).toBe(200);
    expect(server.loads).toHaveLength(2);
    expect(server.closed()).toBe(1);
    expect((await server.ask("DELETE", "/api/delete", { model: "m" })).status).toBe(200);
    expect(server.closed()).toBe(2);
    expect(server.context.models.loaded()).toEqual([]);
  });
});
