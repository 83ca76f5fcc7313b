import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  loopbackServer,
  type LoopbackRoute,
  type LoopbackServer,
  type SeenRequest,
} from "../../../test/support/loopback-server.ts";
import type { MullError } from "../../spec/errors.ts";
import { digestOf } from "../digest.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import { parseReference } from "../reference.ts";
import { openRepository, type RegistryReference } from "./registry.ts";
import { uploadBlob } from "./upload-blob.ts";

const folder = mkdtempSync(join(tmpdir(), "mull-test-upload-"));
afterAll(() => rmSync(folder, { recursive: true }));
const BYTES = randomBytes(100);
const blob = { digest: digestOf(BYTES), size: BYTES.length, path: join(folder, "blob") };
writeFileSync(blob.path, BYTES);

const closing: (() => Promise<unknown>)[] = [];
let waits: number[] = [];
beforeEach(() => {
  waits = [];
});
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** With a query that nothing but the letter preserves. */
const UPLOAD = "/uploads/1?state=a%2Bb+c~d=";
const BLOB = `/v2/me/x/blobs/${blob.digest}`;

type Answer = (request: SeenRequest, response: ServerResponse, registry: OddRegistry) => void;
const answer =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(status, headers).end();

/**
 * A registry with one upload, which keeps what reaches it. Each of `odd` answers one request of its method (instead of
 * the registry), in turn.
 */
class OddRegistry {
  /** What it has of the blob. */
  received: Buffer = Buffer.alloc(0);
  readonly odd: Record<string, Answer[]>;
  server: LoopbackServer | undefined;

  constructor(odd: Record<string, Answer[]>) {
    this.odd = odd;
  }

  async start(): Promise<LoopbackServer> {
    const state = (status: number): Answer => {
      const headers = { location: UPLOAD, range: `0-${Math.max(this.received.length - 1, 0)}` };
      return answer(status, headers);
    };
    const route =
      (usual: Answer): LoopbackRoute =>
      (request, response) =>
        (this.odd[request.method]?.shift() ?? usual)(request, response, this);
    this.server = await loopbackServer({
      [`HEAD ${BLOB}`]: route(answer(404)),
      "POST /v2/me/x/blobs/uploads/": route((request, response) => {
        this.received = Buffer.alloc(0);
        state(202)(request, response, this);
      }),
      [`PATCH ${UPLOAD}`]: route((request, response) => {
        this.received = Buffer.concat([this.received, request.body]);
        state(202)(request, response, this);
      }),
      [`GET ${UPLOAD}`]: route((request, response) => state(204)(request, response, this)),
      [`PUT ${UPLOAD}&digest=${encodeURIComponent(blob.digest)}`]: route((request, response) => {
        const isRight = digestOf(this.received) === blob.digest;
        answer(isRight ? 201 : 400)(request, response, this);
      }),
    });
    closing.push(async () => this.server?.[Symbol.asyncDispose]());
    return this.server;
  }

  of(method: string): readonly SeenRequest[] {
    return this.server?.requests.filter((request) => request.method === method) ?? [];
  }
}

async function upload(
  odd: Record<string, Answer[]> = {},
  more: { login?: boolean } = {},
): Promise<OddRegistry> {
  const registry = new OddRegistry(odd);
  const { host } = await registry.start();
  const client = createHttpClient({
    env: {},
    clock: { sleep: async (milliseconds) => void (await Promise.resolve(waits.push(milliseconds))) },
  });
  closing.push(() => client.close());
  const auths = more.login === true ? { [host]: { username: "user", password: "pass" } } : {};
  const env = { HOME: folder, DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) };
  const reference = parseReference(`http://${host}/me/x`) as RegistryReference;
  const repository = await openRepository(reference, { client, env });
  let completed = 0;
  const failure: unknown = await uploadBlob(blob, {
    client,
    repository,
    chunkBytes: 40,
    onProgress: (bytes) => void (completed = bytes),
  }).catch((error: unknown) => error);
  if (failure !== undefined) throw Object.assign(failure as Error, { registry });
  expect([registry.received.equals(BYTES), completed]).toEqual([true, 100]);
  return registry;
}

describe("an upload", () => {
  it("goes in pieces, to the place that the registry names, to the letter", async () => {
    const registry = await upload();
    expect(
      registry.of("PATCH").map(({ headers }) => [headers["content-range"], headers["content-length"]]),
    ).toEqual([
      ["0-39", "40"],
      ["40-79", "40"],
      ["80-99", "20"],
    ]);
    expect([registry.of("PUT").length, waits]).toEqual([1, []]);
  });

  it("is in pieces as large as the registry wants", async () => {
    const headers = { location: UPLOAD, "oci-chunk-min-length": "64" };
    const registry = await upload({ POST: [answer(202, headers)] });
    expect(registry.of("PATCH").map(({ body }) => body.length)).toEqual([64, 36]);
  });

  it("goes on after the bytes that were taken of a piece", async () => {
    const half: Answer = (request, response, registry) => {
      registry.received = request.body.subarray(0, 15);
      answer(202, { location: UPLOAD, range: "0-14" })(request, response, registry);
    };
    const registry = await upload({ PATCH: [half] });
    expect(ranges(registry)).toEqual(["0-39", "15-54", "55-94", "95-99"]);
  });

  it("that broke in the middle of a piece goes on where the registry says", async () => {
    const breaks: Answer = (request, response, registry) => {
      registry.received = request.body.subarray(0, 30);
      response.socket?.resetAndDestroy();
    };
    const registry = await upload({ PATCH: [breaks] });
    expect(ranges(registry)).toEqual(["0-39", "30-69", "70-99"]);
    expect([registry.of("POST").length, registry.of("GET").length, waits.length]).toEqual([1, 1, 1]);
  });

  it("at a wrong place is put right by asking", async () => {
    const registry = await upload({ PATCH: [keeps, answer(416)] });
    expect(ranges(registry)).toEqual(["0-39", "40-79", "40-79", "80-99"]);
    expect([registry.of("GET").length, waits]).toEqual([1, []]);
  });

  it("that is lost begins anew, a few times", async () => {
    const registry = await upload({ PATCH: [keeps, answer(404)] });
    expect([registry.of("POST").length, registry.received.length]).toEqual([2, 100]);

    const failure = await failedUpload({ PATCH: Array.from({ length: 10 }, () => answer(404)) });
    expect(failure).toMatchObject({ code: "model_not_found" });
    expect(failure.registry.of("POST")).toHaveLength(4);
    expect(waits.slice(-3)).toEqual([1000, 2000, 4000]);
  });

  it("whose bytes became others begins anew; then the registry is at fault", async () => {
    const garbles: Answer = (request, response, registry) => {
      registry.received = Buffer.from(request.body).fill(0);
      answer(202, { location: UPLOAD, range: "0-39" })(request, response, registry);
    };
    expect((await upload({ PATCH: [garbles] })).of("POST")).toHaveLength(2);

    const renames = answer(201, { "docker-content-digest": digestOf(Buffer.from("x")) });
    const failure = await failedUpload({ PUT: Array.from({ length: 10 }, () => renames) });
    expect(failure).toMatchObject({ code: "digest_mismatch" });
    expect(failure.registry.of("PUT")).toHaveLength(4);
  });

  it("that is complete, but the answer went astray, is found to be", async () => {
    const astray: Answer = (_, response) => void response.socket?.resetAndDestroy();
    const registry = await upload({ PUT: [astray], GET: [answer(404)], HEAD: [answer(404), answer(200)] });
    expect([registry.of("POST").length, registry.of("PATCH").length]).toEqual([1, 3]);
  });

  it.each<[string, Answer, RegExp]>([
    [
      "more than it was sent",
      answer(202, { location: UPLOAD, range: "0-98" }),
      /was sent 40 bytes and says it has 99/,
    ],
    ["nothing of where to go on", answer(202), /does not say where an upload goes on/],
    ["to go on with a file", answer(202, { location: "file:///etc/passwd" }), /it redirects to/],
    ["to go on in the open", answer(202, { location: "http://169.254.169.254/" }), /it redirects to/],
  ])("fails at a registry that says %s", async (_, odd, message) => {
    const failure = await failedUpload({ PATCH: Array.from({ length: 10 }, () => odd) });
    expect(failure).toMatchObject({ code: "server_unreachable", message });
  });
});

describe("trying again", () => {
  it("waits as long as the registry wants", async () => {
    const registry = await upload({
      POST: [answer(429, { "retry-after": "7" }), answer(503, { "retry-after": "3" })],
    });
    expect([registry.of("POST").length, waits]).toEqual([3, [7000, 3000]]);
  });

  it("is not for who is told to come back tomorrow", async () => {
    const failure = await failedUpload({ POST: [answer(429, { "retry-after": "80000" })] });
    expect([failure.code, waits]).toEqual(["rate_limited", []]);
  });

  it("ends after six times, with longer and longer waits", async () => {
    const failure = await failedUpload({ HEAD: Array.from({ length: 9 }, () => answer(500)) });
    expect(failure).toMatchObject({
      code: "server_unreachable",
      message: expect.stringMatching(/status 500/),
    });
    expect(failure.registry.of("HEAD")).toHaveLength(6);
    expect(waits.map((wait, index) => wait >= 500 * 2 ** index && wait <= 1000 * 2 ** index)).toEqual(
      Array.from({ length: 5 }, () => true),
    );
  });

  it.each([400, 401, 403, 405, 413])("does not help against status %i", async (status) => {
    const failure = await failedUpload({ POST: [answer(status)] });
    expect([failure.registry.of("POST").length, waits]).toEqual([1, []]);
  });
});

describe("a login", () => {
  it("is not shown to a server elsewhere that takes the upload", async () => {
    const storage = await loopbackServer({
      "PATCH /there": answerOf(202, { location: "/there", range: "0-39" }),
    });
    closing.push(async () => storage[Symbol.asyncDispose]());
    const asks: Answer = (request, response, registry) =>
      request.headers.authorization === undefined
        ? answer(401, { "www-authenticate": 'Basic realm="x"' })(request, response, registry)
        : answer(202, { location: `${storage.url}/there` })(request, response, registry);
    const registry = await upload({ POST: [asks, asks] }, { login: true });
    const basic = `Basic ${Buffer.from("user:pass").toString("base64")}`;
    // Storage loses the upload, and the registry takes the next one itself.
    expect(registry.of("POST").map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      basic,
      basic,
    ]);
    expect(storage.requests.map(({ method, headers }) => [method, headers.authorization])).toEqual([
      ["PATCH", undefined],
      ["PATCH", undefined],
      ["GET", undefined],
    ]);
  });
});

const keeps: Answer = (request, response, registry) => {
  registry.received = Buffer.concat([registry.received, request.body]);
  answer(202, { location: UPLOAD, range: `0-${registry.received.length - 1}` })(request, response, registry);
};

function answerOf(status: number, headers: Record<string, string>): LoopbackRoute {
  return (_, response) => void response.writeHead(status, headers).end();
}

const ranges = (registry: OddRegistry): unknown[] =>
  registry.of("PATCH").map(({ headers }) => headers["content-range"]);

async function failedUpload(odd: Record<string, Answer[]>): Promise<MullError & { registry: OddRegistry }> {
  return await upload(odd).then(
    () => expect.fail("It did not fail."),
    (error: unknown) => error as MullError & { registry: OddRegistry },
  );
}
