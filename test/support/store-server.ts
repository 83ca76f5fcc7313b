import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { createApp } from "../../src/server/create-app.ts";
import { ollamaRoutes } from "../../src/server/ollama/routes.ts";
import { openaiRoutes } from "../../src/server/openai/routes.ts";
import { openModels } from "../../src/server/pool/open-models.ts";
import type { ServerApp } from "../../src/server/route-module.ts";
import type { ServerOptions } from "../../src/server/server-options.ts";
import { MullError } from "../../src/spec/errors.ts";
import type { Model } from "../../src/spec/model.ts";
import type { LoadOptions } from "../../src/spec/options.ts";
import { digestOf } from "../../src/store/digest.ts";
import type { ModelStore } from "../../src/store/model-store.ts";
import type { TransferProgress } from "../../src/store/transfer-progress.ts";
import { type FakeAnswer, fakeContext, fakeModel, type FakeServer, OPTIONS } from "./fake-server.ts";
import { tinyPair } from "./tiny-models.ts";

export interface StoreAnswer {
  status: number;
  /** Of a JSON body, or its last line. */
  body: Record<string, unknown>;
  /** Of NDJSON. */
  lines: (TransferProgress & { error?: string })[];
  text: string;
}

/** A server with a real store, catalog and pool in a folder of its own; only the engine is made up. */
export interface StoreServer {
  app: ServerApp;
  context: FakeServer;
  store: ModelStore;
  /** HOME, with the store in `models`. */
  home: string;
  env: Record<string, string>;
  /** What was loaded, in order; and how many were closed. */
  loads: LoadOptions[];
  closed: () => number;
  ask(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<StoreAnswer>;
  /** Uploads a file; its digest. */
  upload(bytes: Uint8Array, digest: string): Promise<number>;
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

export async function storeServer(
  given: { options?: Partial<ServerOptions>; answer?: FakeAnswer } = {},
): Promise<StoreServer> {
  const home = mkdtempSync(join(tmpdir(), "mull-server-"));
  folders.push(home);
  const env = { HOME: home, XDG_DATA_HOME: join(home, "data"), MULL_MODELS: join(home, "models") };
  const loads: LoadOptions[] = [];
  let closed = 0;
  const load = async (options: LoadOptions): Promise<Model> => {
    loads.push(options);
    return { ...fakeModel(given.answer), close: async () => void (closed += 1) };
  };
  const options = { ...OPTIONS, ...given.options };
  const quiet = fakeContext();
  const { store, models } = await openModels({ options, env, log: quiet.log, load });
  const context = { ...quiet, options, store, models, env };
  const app = createApp(context, [ollamaRoutes, openaiRoutes]);
  return {
    app,
    context,
    store,
    home,
    env,
    loads,
    closed: () => closed,
    async ask(method, path, body, signal) {
      const response = await app.request(path, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
      const text = await response.text();
      const lines = text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => parse(line) as TransferProgress);
      return { status: response.status, lines, body: (lines.at(-1) ?? {}) as Record<string, unknown>, text };
    },
    async upload(bytes, digest) {
      const response = await app.request(`/api/blobs/${digest}`, {
        method: "POST",
        body: Buffer.from(bytes),
      });
      return response.status;
    },
  };
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new MullError("internal", `No JSON: ${line.slice(0, 200)}`, { cause });
  }
}

export interface TinyFiles {
  model: Buffer;
  projector: Buffer;
}

/** A pair of tiny models, as files and as bytes. */
export async function tinyFiles(
  folder: string,
  seed = 1,
): Promise<TinyFiles & { paths: { model: string; projector: string } }> {
  const paths = await tinyPair(folder, { text: { seed } });
  return { paths, model: readFileSync(paths.model), projector: readFileSync(paths.projector) };
}

/** Uploads and creates, as a client does. */
export async function create(
  server: StoreServer,
  name: string,
  { model, projector }: Partial<TinyFiles>,
  fields: Record<string, unknown> = {},
): Promise<Awaited<ReturnType<StoreServer["ask"]>>> {
  const files: Record<string, string> = {};
  for (const [key, bytes] of Object.entries({ "model.gguf": model, "mmproj.gguf": projector })) {
    if (bytes === undefined) continue;
    files[key] = digestOf(bytes);
    expect([200, 201]).toContain(await server.upload(bytes, digestOf(bytes)));
  }
  return server.ask("POST", "/api/create", { model: name, files, ...fields });
}

/** What was told, each once, without digests. */
export const statuses = ({ lines }: { lines: { status: string }[] }): string[] => [
  ...new Set(lines.map(({ status }) => status.replace(/[0-9a-f]{12}/, "<digest>"))),
];

export const chat = (server: StoreServer, model: string): ReturnType<StoreServer["ask"]> =>
  server.ask("POST", "/api/chat", { model, messages: [{ role: "user", content: "Hi" }], stream: false });

export const names = async (server: StoreServer): Promise<string[]> => {
  const { body } = await server.ask("GET", "/api/tags");
  return (body["models"] as { name: string }[]).map(({ name }) => name);
};
