import { execFileSync, spawn } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { request } from "undici";
import { digestOfHex } from "../src/store/digest.ts";
import { CONFIG_TYPE, encodeManifest, layer } from "../src/store/manifest.ts";
import { modelName } from "../src/store/model-name.ts";
import { openStore } from "../src/store/open-store.ts";
import { pullModel } from "../src/store/pull/pull-model.ts";
import type { FetchedBlob, RemoteBlob, RemoteModel } from "../src/store/remote-model.ts";

/**
 * Pulls a file of random bytes from a server on loopback; curl and sha256sum do the same, in turn. Ours also syncs
 * what it wrote, so the last row says what curl, sha256sum and sync take.
 *
 *     npm run bench:pull -- [--megabytes 2000] [--rounds 3] [--connections 8] [--folder DIR]
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      megabytes: { type: "string", default: "2000" },
      rounds: { type: "string", default: "3" },
      connections: { type: "string" },
      folder: { type: "string", default: tmpdir() },
    },
  });
  const folder = mkdtempSync(join(values.folder, "mull-bench-pull-"));
  const source = join(folder, "source");
  const blob = writeRandomFile(source, Number(values.megabytes) * 1e6);
  const entry = fileURLToPath(new URL("range-server.js", import.meta.url));
  const server = spawn(process.execPath, [entry, source], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(server.stdout, "data")) as [Buffer];
    const url = line.toString().trim();
    const connections = values.connections === undefined ? {} : { connections: Number(values.connections) };
    const totals = { pull: 0, curl: 0, synced: 0 };
    for (let round = 1; round <= Number(values.rounds); round++) {
      const pull = await timed(() => pullOnce(join(folder, "store"), url, blob, connections));
      const { curl, synced } = curlOnce(join(folder, "copy"), url, blob);
      totals.pull += pull;
      totals.curl += curl;
      totals.synced += synced;
      console.log(`round ${round}: mull ${rate(blob, pull)}, curl + sha256sum ${rate(blob, curl)}`);
    }
    console.log(`ratio to curl + sha256sum         ${(totals.curl / totals.pull).toFixed(2)}`);
    console.log(`ratio to curl + sha256sum + sync  ${(totals.synced / totals.pull).toFixed(2)}`);
    console.log(`peak resident memory              ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`);
  } finally {
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function pullOnce(
  root: string,
  url: string,
  blob: FetchedBlob,
  options: { connections?: number },
): Promise<void> {
  const store = openStore({ root });
  await pullModel(store, remoteOf(url, blob, await store.writeBlob(Buffer.from("{}"))), options);
  rmSync(root, { recursive: true });
}

function remoteOf(url: string, { digest, size }: FetchedBlob, config: FetchedBlob): RemoteModel {
  const blob: RemoteBlob = {
    label: digest,
    digest,
    size,
    key: undefined,
    mediaType: "application/vnd.ollama.image.model",
    async open({ start, end }, signal) {
      const headers = { range: `bytes=${start}-${(end ?? size) - 1}` };
      const { body } = await request(url, { headers, signal });
      return { start, total: size, body };
    },
  };
  const manifest = { config: { mediaType: CONFIG_TYPE, ...config }, layers: [layer("model", digest, size)] };
  return {
    name: modelName({ host: "localhost", namespace: "library", model: "bench", tag: "latest" }),
    blobs: [blob],
    manifest: async () => ({ manifest, bytes: encodeManifest(manifest) }),
  };
}

/** Seconds. */
function curlOnce(path: string, url: string, { digest }: FetchedBlob): { curl: number; synced: number } {
  const start = performance.now();
  execFileSync("curl", ["--silent", "--show-error", "--fail", "--output", path, url]);
  const sum = execFileSync("sha256sum", [path]).toString().slice(0, 64);
  const curl = (performance.now() - start) / 1000;
  if (digestOfHex(sum) !== digest) throw new Error("curl got something else");
  execFileSync("sync", [path]);
  const synced = (performance.now() - start) / 1000;
  rmSync(path);
  return { curl, synced };
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

function writeRandomFile(path: string, size: number): FetchedBlob {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(1e6);
  const file = openSync(path, "wx");
  for (let written = 0; written < size; written += buffer.length) {
    hash.update(randomFillSync(buffer));
    writeSync(file, buffer);
  }
  closeSync(file);
  return { digest: digestOfHex(hash.digest("hex")), size };
}

function rate({ size }: FetchedBlob, seconds: number): string {
  return `${Math.round(size / seconds / 1e6)} MB/s`;
}

await main();
