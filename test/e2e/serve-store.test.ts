import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ollama } from "ollama";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DockerRegistry, hasDockerRegistry, startDockerRegistry } from "../support/docker-registry.ts";
import { startRangeServer, testBytes } from "../support/range-server.ts";
import { head, rawClient } from "../support/raw-client.ts";
import {
  killServersAtEnd,
  metricOf,
  type ServedCommand,
  startServe,
  until,
} from "../support/served-command.ts";
import { publish } from "../support/small-registry.ts";
import { temporaryFolder } from "../support/tiny-models.ts";

/** The built `mull serve` and its store, as Ollama's client from npm uses them. */
const folder = temporaryFolder();
killServersAtEnd();

const fileOf = (path: string): Buffer =>
  readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)));
const smile = fileOf("examples/smile.png");
const pico = { text: fileOf("models/pico/pico.gguf"), projector: fileOf("models/pico/pico-mmproj.gguf") };
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

interface Served {
  server: ServedCommand;
  ollama: Ollama;
  /** Of its store. */
  models: string;
}

const started: ServedCommand[] = [];
afterAll(() => Promise.all(started.map((server) => server[Symbol.asyncDispose]())));

async function serve(name: string, flags: readonly string[] = []): Promise<Served> {
  const home = join(folder.path, name);
  const models = join(home, "models");
  mkdirSync(home);
  const server = await startServe(flags, { HOME: home, XDG_DATA_HOME: home, MULL_MODELS: models });
  started.push(server);
  return { server, models, ollama: new Ollama({ host: server.url }) };
}

async function upload({ url }: ServedCommand, bytes: Buffer): Promise<number> {
  return (await fetch(`${url}/api/blobs/${digestOf(bytes)}`, { method: "POST", body: new Uint8Array(bytes) }))
    .status;
}

async function look(ollama: Ollama, model: string): Promise<string> {
  const messages = [{ role: "user", content: "What's in this image?", images: [smile] }];
  return (await ollama.chat({ model, messages, options: { temperature: 0 } })).message.content;
}

const namesOf = async (ollama: Ollama): Promise<string[]> =>
  (await ollama.list()).models.map(({ name }) => name);

describe.skipIf(!hasDockerRegistry)("a company's registry", () => {
  let registry: DockerRegistry;
  let maker: Served;
  let user: Served;
  let name: string;

  beforeAll(async () => {
    registry = await startDockerRegistry();
    name = `${registry.host}/library/eyes`;
    maker = await serve("maker");
    user = await serve("user");
  });
  afterAll(() => registry?.[Symbol.asyncDispose]());

  it("gets a model that was made of uploaded files", async () => {
    const { server, ollama } = maker;
    expect(await upload(server, pico.text)).toBe(201);
    expect(await upload(server, pico.projector)).toBe(201);
    expect(await upload(server, pico.projector)).toBe(200);
    // The client's types know only `from`; Ollama's server takes files by their digests.
    const request = {
      model: "eyes",
      files: { "eyes.gguf": digestOf(pico.text), "mmproj.gguf": digestOf(pico.projector) },
      license: "MIT",
    };
    expect(await ollama.create(request)).toEqual({ status: "success" });
    expect(await look(ollama, "eyes")).toMatch(/yellow smiley face/);

    expect(await ollama.copy({ source: "eyes", destination: name })).toEqual({ status: "success" });
    const lines: { status: string; digest: string; total: number; completed: number }[] = [];
    for await (const line of await ollama.push({ model: `http://${name}`, stream: true })) lines.push(line);
    expect(lines[0]).toEqual({ status: "retrieving manifest" });
    expect(lines.slice(-2)).toEqual([{ status: "pushing manifest" }, { status: "success" }]);
    const pushed = lines.filter(({ status }) => /^pushing [0-9a-f]{12}$/.test(status));
    expect(new Set(pushed.map(({ digest }) => digest))).toContain(digestOf(pico.text));
    for (const { completed, total } of pushed) expect(completed).toBeLessThanOrEqual(total);
    expect(await ollama.push({ model: name })).toEqual({ status: "success" });
  });

  it("gives it to another server, which looks at a picture with it", async () => {
    const { ollama } = user;
    const lines: { status: string; digest: string; total: number; completed: number }[] = [];
    for await (const line of await ollama.pull({ model: name, stream: true })) lines.push(line);
    const told = [...new Set(lines.map(({ status }) => status.replace(/[0-9a-f]{12}$/, "…")))];
    expect(told).toEqual([
      "pulling manifest",
      "pulling …",
      "verifying sha256 digest",
      "writing manifest",
      "success",
    ]);
    const last = lines.findLast(({ digest }) => digest === digestOf(pico.text));
    expect(last).toMatchObject({ total: pico.text.length, completed: pico.text.length });
    expect(await look(ollama, name)).toBe(await look(maker.ollama, "eyes"));
    expect(await ollama.pull({ model: `http://${name}` })).toEqual({ status: "success" });

    const { models } = await ollama.list();
    const [made] = (await maker.ollama.list()).models.filter((model) => model.name === "eyes:latest");
    expect(models.find((model) => model.name === `${name}:latest`)).toMatchObject({
      digest: made?.digest,
      size: made?.size,
      details: { families: ["llama", "clip"], quantization_level: made?.details.quantization_level },
    });
    const shown = await ollama.show({ model: name });
    expect(shown).toMatchObject({
      license: "MIT",
      modelfile: expect.stringContaining(`FROM ${name}:latest\n`),
      capabilities: ["completion", "vision"],
    });
    expect(JSON.stringify(shown)).not.toContain(folder.path);
  });

  it("is the beginning of other models, which go away again", async () => {
    const { ollama, models, server } = user;
    const told: string[] = [];
    const request = {
      model: "brief",
      from: name,
      system: "Be brief.",
      parameters: { temperature: 0, num_predict: 3, stop: ["smiley"] },
      messages: [{ role: "user", content: "Hi" }],
    };
    for await (const { status } of await ollama.create({ ...request, stream: true })) told.push(status);
    expect([told[0], told.at(-1)]).toEqual(["gathering model components", "success"]);
    expect(await ollama.show({ model: "brief" })).toMatchObject({
      system: "Be brief.",
      parameters: expect.stringMatching(/num_predict +3/),
    });
    expect(await look(ollama, "brief")).not.toMatch(/smiley/);
    expect((await ollama.ps()).models.map((model) => model.name)).toContain("brief:latest");

    expect(await ollama.delete({ model: "brief" })).toEqual({ status: "success" });
    expect((await ollama.ps()).models.map((model) => model.name)).not.toContain("brief:latest");
    await expect(ollama.show({ model: "brief" })).rejects.toMatchObject({ status_code: 404 });
    await expect(ollama.delete({ model: "brief" })).rejects.toThrow("model 'brief' not found");
    await ollama.delete({ model: name });
    expect(await namesOf(ollama)).toEqual(["pico:latest"]);
    expect(readdirSync(join(models, "blobs"))).toEqual([]);
    expect(await metricOf(server.url, "mull_models_loaded")).toBe(0);
  });

  it("tells what it does not have", async () => {
    const { ollama } = user;
    const missing = `${registry.host}/library/nothing`;
    await expect(ollama.pull({ model: missing })).rejects.toMatchObject({ status_code: 404 });
    const reading = async (): Promise<void> => {
      for await (const _ of await ollama.pull({ model: missing, stream: true }));
    };
    await expect(reading()).rejects.toThrow(/nothing/);
    await expect(ollama.push({ model: missing })).rejects.toMatchObject({ status_code: 404 });
  });
});

describe("uploads", () => {
  it("of any size take little memory, and as long as they take", async () => {
    const { server, models } = await serve("uploads", ["--request-timeout", "1s"]);
    await fetch(`${server.url}/api/tags`);
    const resident = (): Promise<number> => metricOf(server.url, "mull_process_resident_memory_bytes");
    const before = await resident();
    const chunk = testBytes(1024 ** 2);
    const hash = createHash("sha256");
    for (let count = 0; count < 300; count++) hash.update(chunk);
    let most = 0;
    let left = 300;
    const body = new ReadableStream({
      async pull(controller) {
        if (left % 50 === 0) most = Math.max(most, await resident());
        if (left === 150) await new Promise((resolve) => setTimeout(resolve, 1500));
        left -= 1;
        if (left < 0) controller.close();
        else controller.enqueue(new Uint8Array(chunk));
      },
    });
    const path = `/api/blobs/sha256:${hash.digest("hex")}`;
    const request = { method: "POST", body, duplex: "half" } as RequestInit;
    expect((await fetch(server.url + path, request)).status).toBe(201);
    expect((await fetch(server.url + path, { method: "HEAD" })).status).toBe(200);
    expect(most - before).toBeLessThan(150 * 1024 ** 2);
    expect(readdirSync(join(models, "partial"))).toEqual([]);
  });

  it("that are there already, and those whose client goes away, do no harm", async () => {
    const { server, models } = await serve("broken-uploads");
    const bytes = testBytes(20 * 1024 ** 2);
    const path = `/api/blobs/${digestOf(bytes)}`;
    const broken = await rawClient(server.url);
    broken.send(`${head("POST", path, { "Content-Length": bytes.length })}\r\n`);
    broken.send(bytes.subarray(0, 5 * 1024 ** 2));
    const partial = join(models, "partial");
    const waiting = (): number => (existsSync(partial) ? readdirSync(partial).length : 0);
    await until(() => waiting() > 0, "the upload to begin");
    broken.socket.destroy();
    await until(() => waiting() === 0, "the rest to be removed");
    expect((await fetch(server.url + path, { method: "HEAD" })).status).toBe(404);
    for (const status of [201, 200, 200]) expect(await upload(server, bytes)).toBe(status);
    const other = await fetch(server.url + path.replace(/..$/, "00"), {
      method: "POST",
      body: new Uint8Array(bytes),
    });
    expect(other.status).toBe(400);
    expect(await other.text()).not.toContain(folder.path);
  });
});

describe("a pull whose client goes away", () => {
  it("ends, and the next one does not fetch the same bytes again", async () => {
    await using registry = await startRangeServer();
    const content = testBytes(4 * 1024 ** 2);
    const { name, blobPath } = publish(registry, "large", [{ kind: "model", content }]);
    registry.behave = ({ path }) => (path === blobPath ? { pauseMs: 10 } : {});
    const { server, ollama } = await serve("leaving");
    const fetched = (): number =>
      registry.sent
        .filter(({ path }) => path === blobPath)
        .reduce((sum, { start, end }) => sum + end - start, 0);
    const stream = await ollama.pull({ model: name, stream: true });
    const reading = async (): Promise<void> => {
      for await (const { completed = 0 } of stream) if (completed > 500_000) stream.abort();
    };
    await expect(reading()).rejects.toThrow(/abort/i);
    await until(() => registry.open === 0, "the download to end");
    const before = fetched();
    expect(before).toBeLessThan(content.length);
    registry.sent.length = 0;
    registry.behave = () => ({});
    expect(await ollama.pull({ model: name })).toEqual({ status: "success" });
    expect(fetched()).toBeLessThan(content.length);
    expect(await metricOf(server.url, "mull_requests_pending")).toBe(0);
    // It is no GGUF: it stays out of the list, and whoever asks for it hears why.
    expect(await namesOf(ollama)).toEqual(["pico:latest"]);
    await expect(ollama.show({ model: name })).rejects.toMatchObject({ status_code: 422 });
    expect(await ollama.delete({ model: name })).toEqual({ status: "success" });
  });
});
