import { existsSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { shortDigest } from "../../src/store/digest.ts";
import { hasDockerRegistry, REGISTRY_LOGIN, startDockerRegistry } from "../support/docker-registry.ts";
import { type Fault, type SeenRequest, startFaultyProxy } from "../support/faulty-proxy.ts";
import { loopbackServer } from "../support/loopback-server.ts";
import { FOUR_PIECES, succeed } from "../support/published-model.ts";
import type { PullScene } from "../support/pull-scene.ts";
import { registryScenes } from "../support/registry-scenes.ts";

const MB = 1e6;
const HTML = { headers: { "content-type": "text/html" }, body: "<html>Please sign in</html>" };

/** What every answer about the model layer is, or every first one about a piece of it. */
type Lie = (request: SeenRequest, size: number) => Fault;

describe.skipIf(!hasDockerRegistry)("a registry", () => {
  const scenes = registryScenes({ text: FOUR_PIECES });

  /** Lies about the weights, if `when` says so. */
  async function lying(lie: Lie, when: (count: number) => boolean = () => true): Promise<PullScene> {
    const scene = await scenes.open();
    const { digest, size } = scenes.published.model;
    let count = 0;
    scene.proxy.fault = (request) => {
      if (request.method !== "GET" || request.digest !== digest || !when(count++)) return undefined;
      return lie(request, size);
    };
    return scene;
  }

  // The digest finds what came instead, and the next pull begins anew.
  it.concurrent("that sends another body, of no length, instead of the weights, is given up", async () => {
    const scene = await lying(() => ({ answer: { body: "hello" } }));
    const { code, stderr } = await scene.pull();
    expect(stderr).toMatch(/ended sha256:\w+ at byte 5, before the end/);
    expect(code).toBe(5);
    await scene.expectVerified();
    scene.proxy.reset();
    await succeed(scene.pull());
    await scene.expectRecovery();
  });

  describe.concurrent("that always lies about the weights is not believed:", () => {
    it.each<[string, Lie, RegExp, number]>([
      [
        "more bytes than the manifest says",
        ({ start, end = 0 }, size) => ({
          headers: { "content-range": `bytes ${start}-${end - 1}/${size + 1}` },
        }),
        /has \d+ bytes under sha256:\w+, and the manifest says \d+/,
        1,
      ],
      [
        "another piece than was asked for",
        ({ start, end = 0 }, size) => ({ headers: { "content-range": `bytes ${start + 1}-${end}/${size}` } }),
        /it sends others/,
        5,
      ],
      ["a web page", () => ({ answer: HTML }), /it answers with a web page/, 5],
      [
        "200 and something else",
        () => ({ answer: { headers: { "content-length": "5" }, body: "hello" } }),
        /has 5 bytes under sha256:\w+, and the manifest says \d+/,
        1,
      ],
      [
        "compressed bytes",
        () => ({ headers: { "content-encoding": "gzip" } }),
        /its answer is compressed, which nobody asked for/,
        5,
      ],
      [
        "bytes that are not those of the digest",
        () => ({ bytes: (chunk, offset) => flip(chunk, 7_000_000 - offset) }),
        /What \S+ sends as sha256:\w+ is not what that name says/,
        1,
      ],
      ["that it is not there", () => ({ answer: { status: 404, body: "" } }), /is not at 127\.0\.0\.1/, 3],
      [
        "that it wants to be left alone for a day",
        () => ({ answer: { status: 429, headers: { "retry-after": "86400" }, body: "" } }),
        /Try again in 86400 s/,
        1,
      ],
    ])("%s", async (_, lie, message, exitCode) => {
      const scene = await lying(lie);
      const { code, stderr } = await scene.pull();
      expect(stderr).toMatch(message);
      expect(code).toBe(exitCode);
      const { digest } = scenes.published.model;
      expect(existsSync(scene.paths.blob(digest))).toBe(false);
      await scene.expectRecovery();
    });
  });

  const sometimes = (count: number): boolean => count < 6 && count % 2 === 1;
  describe.concurrent("that sometimes", () => {
    it.each<[string, Lie, ((count: number) => boolean)?]>([
      ["ends in the middle of a piece", () => ({ after: { bytes: MB, how: "close" } })],
      ["resets the connection", () => ({ after: { bytes: 2 * MB, how: "reset" } })],
      ["says nothing any more", () => ({ after: { bytes: 3 * MB, how: "stall" } }), (count) => count === 2],
      ["has too much to do", () => ({ answer: { status: 503, body: "" } })],
      ["fails", () => ({ answer: { status: 500, body: "" } }), (count) => count === 0],
      [
        "wants to be left alone for a second",
        () => ({ answer: { status: 429, headers: { "retry-after": "1" }, body: "" } }),
        (count) => count < 2,
      ],
      ["shows a web page", () => ({ answer: HTML }), (count) => count === 1],
      [
        "flips a bit",
        () => ({ bytes: (chunk, offset) => flip(chunk, 7_000_000 - offset) }),
        (count) => count < 4,
      ],
    ])("%s is asked again, and the model comes whole", async (_, lie, when = sometimes) => {
      const scene = await lying(lie, when);
      await succeed(scene.pull());
      await scene.expectRecovery();
      expect(scene.blobRequests()).toEqual([]);
    });
  });

  it.concurrent("that breaks off every piece is gone on with where it was", async () => {
    const scene = await lying(() => ({ after: { bytes: 2.5 * MB, how: "reset" } }));
    await succeed(scene.pull());
    await scene.expectRecovery();
    await scene.expectAnswer();
  });

  describe.concurrent("whose manifest", () => {
    const change = (edit: (manifest: Manifest) => unknown) => (text: string) =>
      JSON.stringify(edit(JSON.parse(text) as Manifest));
    it.each<[string, (text: string) => string | Uint8Array, Record<string, string>, RegExp, number]>([
      [
        "names ../../x",
        change((manifest) => ({ ...manifest, layers: [{ ...manifest.layers[0], digest: "../../x" }] })),
        {},
        /has no SHA-256 as digest/,
        1,
      ],
      [
        "names sha256:../../x",
        change((manifest) => ({
          ...manifest,
          config: { ...manifest.config, digest: "sha256:../../../../x" },
        })),
        {},
        /has no SHA-256 as digest/,
        1,
      ],
      [
        "is not what its own digest says",
        (text) => `${text} `,
        { "docker-content-digest": `sha256:${"0".repeat(64)}` },
        /sent a manifest with the digest sha256:\w+, which should be sha256:0000/,
        1,
      ],
      ["is a web page", () => HTML.body, { "content-type": "text/html" }, /it answers with a web page/, 5],
      ["is empty", () => "", {}, /it is empty/, 1],
      [
        "is a gzip bomb",
        () => gzipSync(Buffer.alloc(200 * MB)),
        { "content-encoding": "gzip" },
        /its answer is compressed, which nobody asked for/,
        5,
      ],
      ["is 50 MB long", () => Buffer.alloc(50 * MB, " "), {}, /its answer has more than \d+ bytes/, 5],
      [
        "says that the weights are larger than any disk",
        change((manifest) => ({
          ...manifest,
          layers: manifest.layers.map((layer) => ({ ...layer, size: layer.size * 1e7 })),
        })),
        {},
        /do not fit on the disk/,
        1,
      ],
    ])("%s is refused, and nothing is written", async (_, edit, headers, message, exitCode) => {
      const scene = await scenes.open();
      const bytes = Buffer.from(await manifestText(scene));
      scene.proxy.fault = ({ what }) =>
        what === "manifest" ? { answer: { headers, body: edit(bytes.toString()) } } : undefined;
      const { code, stderr } = await scene.pull();
      expect(stderr).toMatch(message);
      expect(code).toBe(exitCode);
      expect(scene.blobRequests()).toEqual([]);
      expect(namesIn(scene.paths.blobs)).toEqual([]);
      expect(namesIn(scene.paths.manifests)).toEqual([]);
      await scene.expectRecovery();
    });

    it("is larger than what it says of a layer is not believed", async () => {
      const scene = await scenes.open();
      const text = await manifestText(scene);
      const { digest, size } = scenes.published.model;
      scene.proxy.fault = ({ what }) =>
        what === "manifest"
          ? { answer: { body: text.replace(`"size":${size}`, `"size":${size - 1}`) } }
          : undefined;
      const { code, stderr } = await scene.pull();
      expect(stderr).toContain(`has ${size} bytes under ${digest}, and the manifest says ${size - 1}`);
      expect(code).toBe(1);
      await scene.expectRecovery();
    });
  });

  describe("that lets in only who logs in", () => {
    it("is shown the login, and no other host is: neither after a redirect nor for a token", async () => {
      await using guarded = await startDockerRegistry({ login: true });
      await using storage = await startFaultyProxy(scenes.registry.host);
      await using proxy = await startFaultyProxy(guarded.host);
      const login = (host: string): Record<string, string> => ({
        DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [host]: REGISTRY_LOGIN } }),
      });
      const scene = await scenes.open();
      const name = `${proxy.host}/library/x`;
      const { stored, model, root } = scenes.published;
      await succeed(
        scene.mull(["cp", `${scenes.registry.host}/library/x`, name], { env: { MULL_MODELS: root } }),
      );
      const env = login(proxy.host);
      const refused = await scene.mull(["push", `http://${name}`], { env: { MULL_MODELS: root } });
      expect(refused.code).toBe(5);
      expect(refused.stderr).toContain(`docker login ${proxy.host}`);
      await succeed(scene.mull(["push", `http://${name}`], { env: { ...env, MULL_MODELS: root } }));

      // Blobs lie elsewhere, as registries in clouds have it.
      proxy.seen.length = 0;
      proxy.fault = ({ path, digest }) =>
        digest === model.digest
          ? { answer: { status: 307, headers: { location: `http://${storage.host}${path}?signature=1` } } }
          : undefined;
      await succeed(scene.mull(["pull", `http://${name}`], { env }));
      expect(proxy.seen.some(({ authorization }) => authorization?.startsWith("Basic ") === true)).toBe(true);
      expect(storage.seen.length).toBeGreaterThan(1);
      expect(storage.seen.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
      expect((await scene.mull(["list"])).stdout).toContain(shortDigest(stored.digest));
      expect((await scene.mull(["verify", "--no-repair"])).code).toBe(0);

      await using elsewhere = await loopbackServer({});
      const challenge = `Bearer realm="http://${elsewhere.host}/token",service="registry"`;
      proxy.fault = () => ({ answer: { status: 401, headers: { "www-authenticate": challenge }, body: "" } });
      const asked = await scene.mull(["pull", `http://${name}`], { env });
      expect(asked.code).toBe(5);
      expect(asked.stderr).toContain(`wants a token from http://${elsewhere.host}`);
      expect(elsewhere.requests).toEqual([]);
      expect((await scene.mull(["verify", "--no-repair"])).code).toBe(0);
    });
  });
});

interface Manifest {
  config: { digest: string; size: number };
  layers: { digest: string; size: number }[];
}

async function manifestText({ proxy, published }: PullScene): Promise<string> {
  const answer = await fetch(`http://${proxy.host}/v2/${published.repository}/manifests/latest`, {
    headers: { accept: "application/vnd.docker.distribution.manifest.v2+json" },
  });
  return answer.text();
}

/** @param at index of the byte, if it is in the chunk */
function flip(chunk: Buffer, at: number): Buffer {
  if (at < 0 || at >= chunk.length) return chunk;
  const changed = Buffer.from(chunk);
  changed[at] = (changed[at] as number) ^ 1;
  return changed;
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
