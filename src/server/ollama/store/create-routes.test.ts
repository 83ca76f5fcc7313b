import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  chat,
  create,
  names,
  statuses,
  storeServer,
  tinyFiles,
} from "../../../../test/support/store-server.ts";
import { splitModel } from "../../../../test/support/split-model.ts";
import { temporaryFolder } from "../../../../test/support/tiny-models.ts";
import { digestOf } from "../../../store/digest.ts";
import { requireModelName } from "../../../store/require-model-name.ts";
import { saveModel } from "../../../store/saved-model.ts";

const folder = temporaryFolder();

describe("/api/create", () => {
  it("makes a model of uploaded files", async () => {
    const server = await storeServer();
    const tiny = await tinyFiles(folder.path);
    const made = await create(server, "me/tiny", tiny, {
      system: "Be brief.",
      template: "{{ messages[0].content }}",
      parameters: { temperature: 0.25, stop: "END", num_ctx: 256, num_keep: 4, mirostat: 1 },
      messages: [{ role: "user", content: "Hi" }],
      license: ["MIT", "More."],
    });
    expect(statuses(made)).toEqual([
      "gathering model components",
      "using layer <digest>",
      "writing manifest",
      "success",
    ]);
    const { body } = await server.ask("POST", "/api/show", { model: "me/tiny" });
    expect(body).toMatchObject({
      license: "MIT\nMore.",
      system: "Be brief.",
      template: "{{ messages[0].content }}",
      messages: [{ role: "user", content: "Hi" }],
      details: { format: "gguf", family: "llama", families: ["llama", "clip"], context_length: 512 },
      capabilities: ["completion", "vision"],
      projector_info: { "clip.has_vision_encoder": true },
      model_info: { "general.architecture": "llama" },
    });
    expect(body["parameters"]).toMatch(/^num_ctx +256\nnum_keep +4\ntemperature +0\.25\nstop +"END"$/);
    expect(body["modelfile"]).toContain("FROM me/tiny:latest\n");
    expect(body["modelfile"]).toContain('PARAMETER stop "END"');
    expect(JSON.stringify(body)).not.toContain(server.home);

    const id = (await server.store.find(requireModelName("me/tiny")))?.digest.replace("sha256:", "");
    const tags = await server.ask("GET", "/api/tags");
    expect(tags.body["models"]).toContainEqual(
      expect.objectContaining({ name: "me/tiny:latest", digest: id }),
    );
    expect((await chat(server, "me/tiny")).status).toBe(200);
    expect(server.loads).toMatchObject([{ contextLength: 256, projector: expect.any(String) }]);
    const list = await server.ask("GET", "/v1/models");
    expect(list.body["data"]).toContainEqual(
      expect.objectContaining({ id: "me/tiny:latest", owned_by: "me" }),
    );
    const one = await server.ask("GET", `/v1/models/${encodeURIComponent("me/tiny")}`);
    expect(one.body).toMatchObject({ id: "me/tiny:latest" });
  });

  it("makes a model of another one, and keeps what is not said anew", async () => {
    const server = await storeServer();
    await create(server, "first", await tinyFiles(folder.path), { system: "Old.", parameters: { top_k: 7 } });
    const { body } = await server.ask("POST", "/api/create", {
      model: "second",
      from: "first",
      system: "New.",
      stream: false,
    });
    expect(body).toEqual({ status: "success" });
    const { body: shown } = await server.ask("POST", "/api/show", { model: "second" });
    expect(shown).toMatchObject({ system: "New.", parameters: expect.stringMatching(/top_k +7/) });
  });

  it("makes models of those that are not in the store, with what is set for them", async () => {
    const { paths } = await tinyFiles(folder.path);
    const server = await storeServer({ options: { models: { given: { ...paths, contextLength: 128 } } } });
    const messages = [{ role: "user" as const, content: "Hi" }];
    const saved = { load: { model: paths.model }, system: "Be kind.", generation: { topK: 3 }, messages };
    await saveModel("kind", saved, server.env);
    for (const from of ["kind", "KIND:latest", "given", "pico"]) {
      const { body } = await server.ask("POST", "/api/create", {
        model: `of-${from.replace(":", "-")}`,
        from,
      });
      expect([from, body]).toEqual([from, { status: "success" }]);
    }
    const show = async (model: string): Promise<unknown> =>
      (await server.ask("POST", "/api/show", { model })).body;
    expect(await show("of-kind")).toMatchObject({
      system: "Be kind.",
      parameters: expect.stringMatching(/top_k +3/),
      messages,
    });
    expect(await show("of-KIND-latest")).toMatchObject({ system: "Be kind.", messages });
    expect(await show("of-given")).toMatchObject({
      parameters: expect.stringMatching(/num_ctx +128/),
      capabilities: ["completion", "vision"],
    });
    expect(await show("of-pico")).toMatchObject({ capabilities: ["completion", "vision"] });
    const pictured = [
      { role: "user" as const, content: [{ type: "image" as const, image: "/home/alice/cat.png" }] },
    ];
    await saveModel("seen", { ...saved, messages: pictured }, server.env);
    const { body } = await server.ask("POST", "/api/create", { model: "x", from: "seen", stream: false });
    expect(body["error"]).toMatch(/pictures in the conversation/);
  });

  it("serves a conversation that was saved with a model of the store, and makes models of it", async () => {
    const server = await storeServer();
    await create(server, "base", await tinyFiles(folder.path), { parameters: { top_k: 7 } });
    await saveModel("talk", { load: { model: "base" }, generation: {}, messages: [] }, server.env);
    expect(await names(server)).toEqual(expect.arrayContaining(["talk:latest", "base:latest"]));
    expect((await chat(server, "talk")).status).toBe(200);
    expect((await server.ask("POST", "/api/create", { model: "x", from: "talk" })).body).toEqual({
      status: "success",
    });
    const { body } = await server.ask("POST", "/api/show", { model: "x" });
    expect(body["parameters"]).toMatch(/top_k +7/);
  });

  it("puts the parts of a split model together, in whatever order they are named", async () => {
    const server = await storeServer();
    const { paths } = await tinyFiles(folder.path);
    const parts = await splitModel(paths.model, join(folder.path, "split", "s.gguf"), 8);
    expect(parts.length).toBeGreaterThan(2);
    const files: Record<string, string> = {};
    for (const path of parts.toReversed()) {
      const bytes = readFileSync(path);
      files[basename(path)] = digestOf(bytes);
      expect(await server.upload(bytes, digestOf(bytes))).toBe(201);
    }
    const made = await server.ask("POST", "/api/create", { model: "split", files, stream: false });
    expect(made.body).toEqual({ status: "success" });
    expect((await chat(server, "split")).status).toBe(200);
    expect(server.loads[0]?.splitFiles).toHaveLength(parts.length);
    delete files[basename(parts[1] ?? "")];
    const { status, text } = await server.ask("POST", "/api/create", { model: "y", files, stream: false });
    expect(status).toBe(422);
    expect(text).toContain("s-0000");
    expect(text).not.toContain(server.home);
  });

  it("takes no path, no digest, and no file that lies where the server runs", async () => {
    const server = await storeServer();
    const { paths, model } = await tinyFiles(folder.path);
    const before = process.cwd();
    writeFileSync(join(folder.path, "secret"), model);
    mkdirSync(join(folder.path, "a b"), { recursive: true });
    process.chdir(folder.path);
    try {
      for (const from of [
        paths.model,
        "./secret",
        "~/x",
        "..",
        "a b",
        "C:\\x",
        digestOf(model),
        "x.gguf",
        "\0",
      ]) {
        const { status, text } = await server.ask("POST", "/api/create", { model: "x", from });
        expect([from, status]).toEqual([from, 400]);
        expect(text).not.toContain(server.home);
      }
      // Nobody answers there: it is looked for as a name, and nowhere else.
      const name = "127.0.0.1:1/library/secret";
      writeFileSync(join(folder.path, "secret2"), model);
      const { body } = await server.ask("POST", "/api/create", { model: "x", from: name, stream: false });
      expect(body["error"]).toMatch(/127\.0\.0\.1:1/);
    } finally {
      process.chdir(before);
    }
    expect(await server.store.list()).toEqual([]);
  });

  it("says in a client's words what is wrong with its files", async () => {
    const server = await storeServer();
    const junk = Buffer.from("no model at all");
    await server.upload(junk, digestOf(junk));
    const files = { "my model.gguf": digestOf(junk) };
    const { status, text } = await server.ask("POST", "/api/create", { model: "x", files, stream: false });
    expect(status).toBe(422);
    expect(text).toContain('\\"my model.gguf\\"');
    expect(text).not.toMatch(/blobs|sha256|mull-server/);
    const missing = { "m.gguf": `sha256:${"0".repeat(64)}` };
    expect(await server.ask("POST", "/api/create", { model: "x", files: missing })).toMatchObject({
      status: 400,
      body: { error: expect.stringMatching(/"m\.gguf" was not uploaded/) },
    });
    for (const body of [
      { model: "x" },
      { from: "y" },
      { model: "x", from: "y", files },
      { model: "../x", from: "y" },
      { model: "x", from: "y", parameters: { temperature: "hot" } },
      { model: "x", from: "y", parameters: { nonsense: 1 } },
      { model: "x", from: "y", messages: [{ role: "robot", content: "" }] },
      { model: "pico", from: "y" },
    ]) {
      const answer = await server.ask("POST", "/api/create", body);
      expect([body, answer.status]).toEqual([body, 400]);
    }
  });

  it("replaces a model that is loaded", async () => {
    const server = await storeServer();
    await create(server, "m", { model: (await tinyFiles(folder.path, 1)).model });
    await chat(server, "m");
    await chat(server, "m");
    expect(server.loads).toHaveLength(1);
    await create(server, "m", { model: (await tinyFiles(folder.path, 2)).model });
    await chat(server, "m");
    expect(server.loads).toHaveLength(2);
    expect(server.loads[1]?.model).not.toBe(server.loads[0]?.model);
    expect(server.closed()).toBe(1);
  });
});
