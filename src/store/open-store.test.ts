import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type StoreCall, watchedStore } from "../../test/support/faulty-file-system.ts";
import {
  bytesOf,
  chunksOf,
  CONFIG,
  findProblems,
  manifestBytes,
  nameOf,
  newStoreFolder,
  removeStoreFolders,
  textDigest,
  writeModel,
} from "../../test/support/store-models.ts";
import { digestOf } from "./digest.ts";
import { fileSystem } from "./disk/file-system.ts";
import { formatModelName } from "./model-name.ts";
import type { ModelStore } from "./model-store.ts";
import { openStore } from "./open-store.ts";

afterAll(removeStoreFolders);

const newStore = (): ModelStore => openStore({ root: join(newStoreFolder(), "data", "models") });
const blobOf = (text: string): { digest: ReturnType<typeof textDigest>; size: number } => ({
  digest: textDigest(text),
  size: bytesOf(text).length,
});

async function namesIn(store: ModelStore): Promise<readonly string[]> {
  return (await store.list()).map(({ name }) => formatModelName(name)).sort();
}

describe("a store", () => {
  it("that is not there is empty, and reading does not create it", async () => {
    const store = newStore();
    expect(await store.list()).toEqual([]);
    expect(await store.damaged()).toEqual([]);
    expect(await store.find(nameOf("llava"))).toBeUndefined();
    expect(await store.findByDigest(textDigest("x"))).toBeUndefined();
    expect(await store.blobState(blobOf("x"))).toBe("absent");
    expect(await store.checkBlob(blobOf("x"))).toBe(false);
    expect(await findProblems(store)).toEqual([]);
    expect(existsSync(store.paths.root)).toBe(false);
  });

  it("keeps models in Ollama's layout, and finds them by name and digest", async () => {
    const store = newStore();
    await writeModel(store, "llava:7b", ["weights"]);
    const manifest = manifestBytes(["weights"]);
    const { root } = store.paths;
    expect(readFileSync(join(root, "manifests/registry.ollama.ai/library/llava/7b"))).toEqual(
      Buffer.from(manifest),
    );
    const blob = join(root, `blobs/sha256-${textDigest("weights").slice(7)}`);
    expect(readFileSync(blob, "utf8")).toBe("weights");
    const found = await store.find(nameOf("llava:7b"));
    expect(found).toMatchObject({ digest: digestOf(manifest), bytes: CONFIG.length + 7 });
    expect(await store.findByDigest(digestOf(manifest))).toEqual(found);
    expect(await store.findByDigest(textDigest("weights"))).toEqual(found);
    expect(await store.findByDigest(textDigest(CONFIG))).toBeUndefined();
    expect(await findProblems(store)).toEqual([]);
  });

  it("says when too many files are open, and takes no manifest for damaged because of it", async () => {
    const written = newStore();
    await writeModel(written, "llava", ["weights"]);
    const watched = watchedStore(fileSystem, (call) => {
      if (call === "readFileSync") throw Object.assign(new Error("EMFILE: injected"), { code: "EMFILE" });
    });
    const store = openStore({ root: written.paths.root, fileSystem: watched });
    for (const read of [() => store.list(), () => store.damaged(), () => store.find(nameOf("llava"))]) {
      await expect(read()).rejects.toMatchObject({
        code: "store_unavailable",
        hint: expect.stringMatching(/ulimit/),
      });
    }
  });

  it("compares names without case, and keeps the first spelling", async () => {
    const store = newStore();
    await writeModel(store, "LLaVA", ["one"]);
    await writeModel(store, "llava", ["two"]);
    await writeModel(store, "REGISTRY.ollama.ai/Library/llava:LATEST", ["three"]);
    expect(await namesIn(store)).toEqual(["LLaVA:latest"]);
    expect((await store.find(nameOf("llAVA")))?.manifest.layers[0]?.digest).toBe(textDigest("three"));
    await store.remove(nameOf("LLAVA:Latest"));
    expect(await namesIn(store)).toEqual([]);
    expect(readdirSync(store.paths.manifests)).toEqual([]);
  });

  it("prefers the very same spelling where another program made two", async () => {
    const store = newStore();
    await writeModel(store, "llava", ["one"]);
    const folder = dirname(dirname(store.paths.manifest(nameOf("llava"))));
    mkdirSync(join(folder, "LLAVA"));
    writeFileSync(join(folder, "LLAVA/Latest"), manifestBytes(["two"]));
    // Where case does not count they are one.
    if (readdirSync(folder).length === 1) return;
    expect((await store.find(nameOf("LLAVA")))?.manifest.layers[0]?.digest).toBe(textDigest("two"));
    expect((await store.find(nameOf("llava")))?.manifest.layers[0]?.digest).toBe(textDigest("one"));
  });

  it("lists 500 models without opening a blob, newest first", async () => {
    const store = newStore();
    await writeModel(store, "first", ["weights"]);
    for (let index = 0; index < 499; index++) {
      const path = store.paths.manifest(nameOf(`owner${index % 7}/model${index}:tag`));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, manifestBytes(["weights"]));
      utimesSync(path, index, index);
    }
    const opened: unknown[] = [];
    const watched = watchedStore(fileSystem, (call, [path]) => {
      if (String(path).startsWith(store.paths.blobs)) opened.push([call, path]);
    });
    const models = await openStore({ root: store.paths.root, fileSystem: watched }).list();
    expect(models.length).toBe(500);
    expect(models.slice(0, 2).map(({ name }) => name.model)).toEqual(["first", "model498"]);
    expect(opened).toEqual([]);
  });

  it("copies and removes models, and keeps blobs that others need", async () => {
    const store = newStore();
    await writeModel(store, "one", ["shared", "own"]);
    await writeModel(store, "two", ["shared"]);
    const copy = await store.copy(nameOf("one"), nameOf("user/copy:x"));
    expect(copy.digest).toBe((await store.find(nameOf("one")))?.digest);
    expect(await store.remove(nameOf("one"))).toEqual({ freedBytes: 0 });
    expect(await store.remove(nameOf("user/copy:x"))).toEqual({ freedBytes: 3 });
    expect(await store.blobState(blobOf("shared"))).toBe("intact");
    expect(await store.blobState(blobOf("own"))).toBe("absent");
    expect(existsSync(store.paths.verification(textDigest("own")))).toBe(false);
    await expect(store.remove(nameOf("one"))).rejects.toMatchObject({ code: "model_not_found" });
    await expect(store.copy(nameOf("one"), nameOf("x"))).rejects.toMatchObject({ code: "model_not_found" });
  });

  it("writes no manifest without its blobs, and says which is missing", async () => {
    const store = newStore();
    await store.writeBlob(bytesOf(CONFIG));
    const write = store.writeManifest(nameOf("llava"), manifestBytes(["weights"]));
    await expect(write).rejects.toMatchObject({
      code: "invalid_model",
      details: { digest: textDigest("weights") },
    });
    await expect(store.writeManifest(nameOf("llava"), bytesOf("<html>"))).rejects.toMatchObject({
      code: "invalid_model",
    });
    expect(await store.list()).toEqual([]);
  });
});

describe("a blob", () => {
  it("that is received is what was expected, or leaves nothing", async () => {
    const store = newStore();
    const body = bytesOf("some bytes of a model");
    await expect(
      store.receiveBlob(chunksOf(body.subarray(1), 4), { expected: digestOf(body) }),
    ).rejects.toMatchObject({ code: "digest_mismatch" });
    expect(readdirSync(store.paths.partial)).toEqual([]);
    expect(await store.receiveBlob(chunksOf(body, 4), { expected: digestOf(body) })).toEqual({
      digest: digestOf(body),
      size: body.length,
    });
    expect(await store.receiveBlob(chunksOf(new Uint8Array(), 4))).toEqual({
      digest: digestOf(new Uint8Array()),
      size: 0,
    });
  });

  it("whose stream breaks, or stands still until somebody leaves, leaves nothing", async () => {
    const store = newStore();
    const reset = Object.assign(new Error("connection reset"), { code: "ECONNRESET" });
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytesOf("a beginning");
      throw reset;
    }
    // As it was thrown: it is no fault of the disk.
    await expect(store.receiveBlob(broken())).rejects.toBe(reset);
    await expect(store.exclusively("key", () => Promise.reject(reset))).rejects.toBe(reset);
    const controller = new AbortController();
    async function* stuck(): AsyncGenerator<Uint8Array> {
      yield bytesOf("a beginning");
      setTimeout(() => controller.abort(), 5);
      await new Promise(() => {});
    }
    await expect(store.receiveBlob(stuck(), { signal: controller.signal })).rejects.toMatchObject({
      code: "aborted",
    });
    expect(readdirSync(store.paths.partial)).toEqual([]);
    expect(readdirSync(store.paths.locks)).toEqual([]);
  });

  it("is published from a temporary file, which is gone afterwards, and also when its size is wrong", async () => {
    const store = newStore();
    const path = await store.temporaryFile();
    writeFileSync(path, "bytes");
    await store.publish(path, blobOf("bytes"));
    expect(existsSync(path)).toBe(false);
    expect(await store.blobState(blobOf("bytes"))).toBe("intact");
    const short = await store.temporaryFile();
    writeFileSync(short, "byt");
    await expect(store.publish(short, blobOf("others"))).rejects.toMatchObject({ code: "digest_mismatch" });
    expect(existsSync(short)).toBe(false);
    expect(readdirSync(store.paths.locks)).toEqual([]);
  });

  const SPOILED: readonly [string, (path: string) => void][] = [
    ["cut off", (path) => truncateSync(path, 5)],
    ["longer", (path) => appendFileSync(path, "x")],
    ["empty", (path) => truncateSync(path, 0)],
    [
      "flipped in one bit",
      (path) => {
        const bytes = readFileSync(path);
        bytes[3] = (bytes[3] as number) ^ 1;
        writeFileSync(path, bytes);
      },
    ],
    [
      "zeroed, with its times set back",
      (path) => {
        const { atime, mtime, size } = statSync(path);
        writeFileSync(path, new Uint8Array(size));
        utimesSync(path, atime, mtime);
      },
    ],
    [
      "another file of the same size and time",
      (path) => {
        const { atime, mtime, size } = statSync(path);
        writeFileSync(`${path}.new`, new Uint8Array(size));
        utimesSync(`${path}.new`, atime, mtime);
        renameSync(`${path}.new`, path);
      },
    ],
  ];

  it.each(SPOILED)("that is %s is not trusted, found, and moved away", async (_, spoil) => {
    const text = "the weights of a model";
    for (const find of ["checkBlob", "verify"]) {
      const store = newStore();
      await writeModel(store, "llava", [text]);
      expect(await store.blobState(blobOf(text))).toBe("intact");
      spoil(store.paths.blob(textDigest(text)));
      expect(await store.blobState(blobOf(text))).not.toBe("intact");
      const isRight = find === "checkBlob" && (await store.checkBlob(blobOf(text)));
      expect(isRight).toBe(false);
      const problems = await findProblems(store);
      const [kind, models] = [find === "verify" ? "damaged" : "missing", [nameOf("llava")]];
      expect(problems).toContainEqual(expect.objectContaining({ kind, digest: textDigest(text), models }));
      expect(await store.blobState(blobOf(text))).toBe("absent");
      expect(readdirSync(store.paths.damaged).length).toBe(1);
      // The model is repaired by bringing the blob again; then nothing needs the damaged file.
      await store.writeBlob(bytesOf(text));
      await store.prune();
      expect(await findProblems(store)).toEqual([]);
      expect(readdirSync(store.paths.damaged)).toEqual([]);
    }
  });

  it.each([
    ["is missing", (path: string) => rmSync(path)],
    ["is empty", (path: string) => truncateSync(path, 0)],
    ["is torn", (path: string) => truncateSync(path, 30)],
    ["is of zeros", (path: string) => writeFileSync(path, new Uint8Array(200))],
    ["is a folder", (path: string) => (rmSync(path), mkdirSync(path))],
  ])("whose record %s is hashed once more", async (_, spoil) => {
    const store = newStore();
    await store.writeBlob(bytesOf("weights"));
    spoil(store.paths.verification(textDigest("weights")));
    expect(await store.blobState(blobOf("weights"))).toBe("unverified");
    expect(await store.checkBlob(blobOf("weights"))).toBe(true);
    expect(await store.blobState(blobOf("weights"))).toBe("intact");
  });

  it("that Ollama wrote is hashed once, and never again while nobody touches it", async () => {
    const written = newStore();
    await writeModel(written, "llava", ["weights"]);
    rmSync(written.paths.verified, { recursive: true });
    let reads = 0;
    const watched = watchedStore(
      fileSystem,
      (call: StoreCall) => void (reads += call === "file.read" ? 1 : 0),
    );
    const store = openStore({ root: written.paths.root, fileSystem: watched });
    expect(await store.blobState(blobOf("weights"))).toBe("unverified");
    const checks = await Promise.all([1, 2, 3].map(() => store.checkBlob(blobOf("weights"))));
    expect(checks).toEqual([true, true, true]);
    const blobReads = reads;
    expect(await openStore({ root: written.paths.root }).blobState(blobOf("weights"))).toBe("intact");
    for (let round = 0; round < 5; round++) await store.checkBlob(blobOf("weights"));
    // Only records were read.
    expect(reads - blobReads).toBeLessThanOrEqual(10);
  });

  it("of another size than a manifest says is not moved away: the manifest is wrong", async () => {
    const store = newStore();
    await store.writeBlob(bytesOf("weights"));
    const lie = { digest: textDigest("weights"), size: 3 };
    expect(await store.blobState(lie)).toBe("wrong-size");
    expect(await store.checkBlob(lie)).toBe(false);
    expect(await store.blobState(blobOf("weights"))).toBe("intact");
  });
});

describe("a file from elsewhere", () => {
  const TEXT = "a model on this disk";
  function newFile(): string {
    const path = join(newStoreFolder(), "model.gguf");
    writeFileSync(path, TEXT);
    return path;
  }

  it("is imported without its bytes where the file system can, and stays where it is", async () => {
    const store = newStore();
    const path = newFile();
    const progress: number[][] = [];
    const onProgress = (completed: number, total: number): number => progress.push([completed, total]);
    expect(await store.importFile(path, { onProgress })).toEqual(blobOf(TEXT));
    expect(readFileSync(path, "utf8")).toBe(TEXT);
    expect(progress.at(-1)).toEqual([TEXT.length, TEXT.length]);
    expect(await store.blobState(blobOf(TEXT))).toBe("intact");
    // Again, and from the store itself: links to one file.
    await store.importFile(path);
    await store.importFile(store.paths.blob(textDigest(TEXT)));
    expect(await store.checkBlob(blobOf(TEXT))).toBe(true);
    expect(readdirSync(store.paths.partial)).toEqual([]);
    expect(readdirSync(store.paths.blobs).length).toBe(1);
  });

  it("that its owner writes to afterwards is noticed", async () => {
    const store = newStore();
    const path = newFile();
    await store.importFile(path);
    const { atime, mtime } = statSync(path);
    writeFileSync(path, TEXT.toUpperCase());
    utimesSync(path, atime, mtime);
    const shares = readFileSync(store.paths.blob(textDigest(TEXT)), "utf8") !== TEXT;
    expect(await store.blobState(blobOf(TEXT))).toBe(shares ? "unverified" : "intact");
    expect(await store.checkBlob(blobOf(TEXT))).toBe(!shares);
    expect(readFileSync(path, "utf8")).toBe(TEXT.toUpperCase());
  });

  it("is imported while others link to it, which changes one of its times and no byte", async () => {
    const path = newFile();
    let links = 0;
    const store = openStore({
      root: newStoreFolder(),
      fileSystem: {
        ...fileSystem,
        stat: async (asked) => {
          if (asked.includes("temporary.") && links < 4) linkSync(path, `${path}.${(links += 1)}`);
          return await fileSystem.stat(asked);
        },
      },
    });
    expect(await store.importFile(path)).toEqual(blobOf(TEXT));
    expect(links).toBe(4);
    expect(await store.checkBlob(blobOf(TEXT))).toBe(true);
    expect(readdirSync(store.paths.partial)).toEqual([]);
  });

  it("that somebody goes on writing to is refused", async () => {
    const path = newFile();
    const store = openStore({
      root: newStoreFolder(),
      fileSystem: {
        ...fileSystem,
        stat: async (asked) => {
          if (asked.includes("temporary.")) appendFileSync(path, "more");
          return await fileSystem.stat(asked);
        },
      },
    });
    await expect(store.importFile(path)).rejects.toMatchObject({
      code: "invalid_argument",
      message: `${path} was changed while it was read.`,
    });
    expect(readdirSync(store.paths.partial)).toEqual([]);
    expect(readdirSync(store.paths.locks)).toEqual([]);
  });

  it("that is copied has nothing to do with its source any more", async () => {
    const store = newStore();
    const path = newFile();
    await store.importFile(path, { copy: true });
    writeFileSync(path, "something else");
    expect(await store.blobState(blobOf(TEXT))).toBe("intact");
  });

  it("is found through links, and refused when it is none", async () => {
    const store = newStore();
    const path = newFile();
    const link = `${path}.link`;
    symlinkSync(path, link);
    expect(await store.importFile(link)).toEqual(blobOf(TEXT));
    expect(statSync(store.paths.blob(textDigest(TEXT))).isFile()).toBe(true);
    for (const wrong of [`${path}.nothing`, dirname(path), `${path}/below`]) {
      await expect(store.importFile(wrong)).rejects.toMatchObject({ code: "model_not_found" });
    }
    const signal = AbortSignal.abort();
    await expect(store.importFile(newFile(), { signal, copy: true })).rejects.toMatchObject({
      code: "aborted",
    });
    expect(readdirSync(store.paths.partial)).toEqual([]);
  });
});

describe("manifests that others spoiled", () => {
  const latest = (store: ModelStore, model: string): string => store.paths.manifest(nameOf(model));
  function put(path: string, bytes: string | Uint8Array): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  const TRAVERSAL = new TextDecoder()
    .decode(manifestBytes(["x"]))
    .replaceAll(/sha256:[0-9a-f]{64}/g, "../../../x");

  it.each<[string, (path: string) => void]>([
    ["empty", (path) => put(path, "")],
    ["a page of a proxy", (path) => put(path, "<!doctype html><h1>Log in</h1>")],
    ["cut off", (path) => put(path, manifestBytes(["x"]).subarray(0, 100))],
    ["zeros", (path) => put(path, new Uint8Array(300))],
    ["of digests that lead elsewhere", (path) => put(path, TRAVERSAL)],
    ["endless", (path) => (put(path, "{"), truncateSync(path, 5_000_000_000))],
    ["a folder", (path) => mkdirSync(path, { recursive: true })],
    [
      "a link out of the store",
      (path) => (mkdirSync(dirname(path), { recursive: true }), symlinkSync("/etc/passwd", path)),
    ],
    [
      "a link to nothing",
      (path) => (mkdirSync(dirname(path), { recursive: true }), symlinkSync("nothing", path)),
    ],
  ])("being %s, are reported, spare all blobs, and can be replaced or removed", async (_, spoil) => {
    const store = newStore();
    await writeModel(store, "good", ["weights"]);
    await store.writeBlob(bytesOf("perhaps the bad one needs it"));
    spoil(latest(store, "bad"));
    expect(await namesIn(store)).toEqual(["good:latest"]);
    const bad = { name: nameOf("bad"), path: latest(store, "bad") };
    expect(await store.damaged()).toEqual([expect.objectContaining(bad)]);
    await expect(store.find(nameOf("bad"))).rejects.toMatchObject({ code: "invalid_model" });
    expect(await findProblems(store)).toContainEqual(
      expect.objectContaining({ kind: "unreadable-manifest", path: bad.path, models: [bad.name] }),
    );
    expect(await store.prune()).toEqual({ removed: [], freedBytes: 0 });
    expect(await store.remove(nameOf("bad"))).toEqual({ freedBytes: 0 });
    expect(await store.damaged()).toEqual([]);
    expect((await store.prune()).removed).toEqual([textDigest("perhaps the bad one needs it")]);
    expect(readFileSync("/etc/passwd", "utf8")).not.toBe("");
  });

  it("are not looked for behind a link, and nothing is written through one", async () => {
    const store = newStore();
    await writeModel(store, "good", ["weights"]);
    const elsewhere = newStoreFolder();
    put(join(elsewhere, "llava/latest"), manifestBytes(["weights"]));
    symlinkSync(elsewhere, join(store.paths.manifests, "registry.ollama.ai", "outside"));
    expect(await namesIn(store)).toEqual(["good:latest"]);
    const name = nameOf("outside/llava");
    await expect(store.find(name)).rejects.toMatchObject({ code: "store_unavailable" });
    await expect(store.writeManifest(name, manifestBytes(["weights"]))).rejects.toMatchObject({
      code: "store_unavailable",
    });
    await expect(store.remove(name)).rejects.toMatchObject({ code: "store_unavailable" });
    expect(readdirSync(elsewhere)).toEqual(["llava"]);
    // What lies behind it may need any blob.
    await store.writeBlob(bytesOf("garbage"));
    expect((await store.prune()).removed).toEqual([]);
    expect((await findProblems(store)).map(({ kind }) => kind)).toContain("unreadable-manifest");
  });

  it("are no matter of files that are no manifests", async () => {
    const store = newStore();
    await writeModel(store, "good", ["weights"]);
    put(join(dirname(latest(store, "good")), ".DS_Store"), "junk");
    put(join(store.paths.manifests, "README"), "junk");
    await store.writeBlob(bytesOf("garbage"));
    expect(await store.damaged()).toEqual([]);
    expect((await store.prune()).removed).toEqual([textDigest("garbage")]);
    await store.remove(nameOf("good"));
    expect(await store.list()).toEqual([]);
  });
});

describe("pins and pruning", () => {
  it("spares what is pinned, until it is released", async () => {
    const store = newStore();
    const other = openStore({ root: store.paths.root });
    const pin = await store.pin([textDigest("one")]);
    for (const text of ["one", "two", "three"]) await store.writeBlob(bytesOf(text));
    await pin.add([textDigest("two")]);
    expect((await other.prune()).removed).toEqual([textDigest("three")]);
    await pin.release();
    expect((await other.prune()).removed.length).toBe(2);
    await pin.release();
    expect(readdirSync(store.paths.locks)).toEqual([]);
  });

  it("removes unfinished downloads only when asked, and none that goes on", async () => {
    const store = newStore();
    await store.writeBlob(bytesOf("x"));
    const pinned = textDigest("pinned");
    const names = ["abc.data", "abc.journal", "busy.data", `${pinned.slice(7)}.data`];
    for (const name of names) writeFileSync(join(store.paths.partial, name), "12345");
    const temporary = await store.temporaryFile();
    await store.prune();
    expect(readdirSync(store.paths.partial).length).toBe(5);
    const pin = await store.pin([pinned]);
    const other = openStore({ root: store.paths.root });
    await other.exclusively("busy", async () => {
      expect(await store.prune({ partials: true })).toEqual({ removed: [], freedBytes: 10 });
    });
    expect(readdirSync(store.paths.partial).length).toBe(3);
    await pin.release();
    expect((await store.prune({ partials: true })).freedBytes).toBe(10);
    expect(readdirSync(store.paths.partial)).toEqual([temporary.slice(store.paths.partial.length + 1)]);
    rmSync(temporary);
  });

  it("removes what dead processes left", async () => {
    const store = newStore();
    await store.writeBlob(bytesOf("x"));
    const temporary = await store.temporaryFile();
    const dead = temporary.replace(/-\d+-\d+-/, "-4194305-1-");
    renameSync(temporary, dead);
    writeFileSync(dead, "12345");
    const pinOfDead = join(
      store.paths.locks,
      dead.slice(dead.lastIndexOf("/") + 1).replace("temporary", "pin"),
    );
    writeFileSync(pinOfDead, `${textDigest("x")}\n`);
    const problems = (await findProblems(store)).map(({ kind, path }) => [kind, path]);
    expect(problems).toContainEqual(["leftover", dead]);
    expect(await store.prune()).toEqual({ removed: [textDigest("x")], freedBytes: 6 });
    expect(existsSync(dead)).toBe(false);
    expect(existsSync(pinOfDead)).toBe(false);
  });

  it("takes nothing for a lock or a pin that is no file", async () => {
    const store = newStore();
    await writeModel(store, "whole", ["weights"]);
    mkdirSync(store.paths.locks, { recursive: true });
    const lock = createHash("sha256").update("store").digest("hex").slice(0, 24);
    for (const name of ["pin.x", `choosing.${lock}.x`, `ticket.${lock}.000000000000001.x`]) {
      mkdirSync(join(store.paths.locks, `${name}.folder`));
      symlinkSync("/nonexistent", join(store.paths.locks, `${name}.link`));
    }
    expect((await findProblems(store)).filter(({ kind }) => kind !== "leftover")).toEqual([]);
    await store.remove(nameOf("whole"));
    expect((await store.prune()).removed).toEqual([]);
    expect(readdirSync(store.paths.blobs)).toEqual([]);
    // What is called a pin may be anything; the rest is in nobody's way any more.
    expect(readdirSync(store.paths.locks).filter((name) => !name.startsWith("pin."))).toEqual([]);
  });

  it("counts no bytes that somebody else still links to", async () => {
    const store = newStore();
    const { digest } = await store.writeBlob(bytesOf("shared with another program"));
    linkSync(store.paths.blob(digest), join(newStoreFolder(), "link"));
    expect(await store.prune()).toEqual({ removed: [digest], freedBytes: 0 });
  });

  it("does not stumble over what is no blob", async () => {
    const store = newStore();
    await store.writeBlob(bytesOf("x"));
    mkdirSync(store.paths.blob(textDigest("a folder")));
    writeFileSync(`${store.paths.blob(textDigest("y"))}-partial`, "of Ollama");
    writeFileSync(join(store.paths.blobs, "README"), "hello");
    expect((await store.prune()).removed).toEqual([textDigest("x")]);
    expect(readdirSync(store.paths.blobs).length).toBe(3);
  });
});

describe("a store that is only read", () => {
  it("is read and checked, and writing says what to do", async () => {
    const written = newStore();
    await writeModel(written, "llava", ["weights"]);
    rmSync(written.paths.verified, { recursive: true });
    const records = join(newStoreFolder(), "records");
    const before = readdirSync(written.paths.root).sort();
    const changes: StoreCall[] = [];
    const watched = watchedStore(fileSystem, (call, [path]) => {
      const writes = ["mkdir", "rename", "link", "unlink", "rmdir", "utimes"].includes(call);
      if (writes && String(path).startsWith(written.paths.root)) changes.push(call);
    });
    const open = (): ModelStore =>
      openStore({ root: written.paths.root, readOnly: true, records, fileSystem: watched });
    const store = open();
    expect(await namesIn(store)).toEqual(["llava:latest"]);
    expect(await store.checkBlob(blobOf("weights"))).toBe(true);
    // Remembered elsewhere.
    expect(await open().blobState(blobOf("weights"))).toBe("intact");
    expect(await findProblems(store)).toEqual([]);
    const refused: (() => Promise<unknown>)[] = [
      () => store.writeBlob(bytesOf("x")),
      () => store.receiveBlob(chunksOf(bytesOf("x"), 1)),
      () => store.importFile("/etc/passwd"),
      () => store.temporaryFile(),
      () => store.publish("/x", blobOf("x")),
      () => store.exclusively("x", async () => {}),
      () => store.pin(),
      () => store.writeManifest(nameOf("x"), manifestBytes(["weights"])),
      () => store.copy(nameOf("llava"), nameOf("x")),
      () => store.remove(nameOf("llava")),
      () => store.prune(),
    ];
    for (const attempt of refused) {
      await expect(attempt()).rejects.toMatchObject({
        code: "store_unavailable",
        hint: expect.stringMatching(/mull import/),
      });
    }
    writeFileSync(written.paths.blob(textDigest("weights")), "damaged");
    expect(await store.checkBlob(blobOf("weights"))).toBe(false);
    expect(changes).toEqual([]);
    expect(readdirSync(written.paths.root).sort()).toEqual(before);
  });

  it("by the rights of its folder is read all the same", async () => {
    const written = newStore();
    await writeModel(written, "llava", ["weights"]);
    rmSync(written.paths.verified, { recursive: true });
    // Rights do not hold root back: a file system that refuses does.
    const refuse = (call: StoreCall, args: readonly unknown[]): void => {
      const writes = ["mkdir", "rename", "link", "unlink", "rmdir", "utimes", "file.write"].includes(call);
      if (writes || (call === "open" && Number(args[1]) !== 0 && (Number(args[1]) & 3) !== 0)) {
        throw Object.assign(new Error(`EROFS: read-only file system, ${call}`), { code: "EROFS" });
      }
    };
    const store = openStore({ root: written.paths.root, fileSystem: watchedStore(fileSystem, refuse) });
    expect(await namesIn(store)).toEqual(["llava:latest"]);
    expect(await store.checkBlob(blobOf("weights"))).toBe(true);
    expect(await store.blobState(blobOf("weights"))).toBe("intact");
    expect(await findProblems(store)).toEqual([]);
    await expect(store.writeBlob(bytesOf("x"))).rejects.toMatchObject({
      code: "store_unavailable",
      hint: expect.stringMatching(/MULL_MODELS/),
    });
    await expect(store.remove(nameOf("llava"))).rejects.toMatchObject({ code: "store_unavailable" });
    chmodSync(written.paths.root, 0o755);
  });
});

describe("the clock", () => {
  it.each([0, 4e12])("showing %d does not matter to what was verified, written or locked", async (time) => {
    const store = newStore();
    await writeModel(store, "before", ["weights"]);
    const skewed = openStore({ root: store.paths.root, now: () => time });
    expect(await skewed.blobState(blobOf("weights"))).toBe("intact");
    await writeModel(skewed, "after", ["weights", "more"]);
    for (const text of ["weights", "more"]) {
      utimesSync(skewed.paths.blob(textDigest(text)), 4e9, 4e9);
      expect(await skewed.checkBlob(blobOf(text))).toBe(true);
    }
    utimesSync(skewed.paths.manifest(nameOf("after")), 4e9, 4e9);
    expect(await namesIn(skewed)).toEqual(["after:latest", "before:latest"]);
    await skewed.prune();
    expect(await findProblems(store)).toEqual([]);
  });
});

describe("space", () => {
  it("that is not there is said with both figures, before anything is written", async () => {
    const store = newStore();
    await store.requireSpace(1);
    await expect(store.requireSpace(1e18)).rejects.toMatchObject({
      code: "insufficient_storage",
      message: expect.stringMatching(/1000\.00 PB .*free/) as string,
      details: { neededBytes: 1e18, freeBytes: expect.any(Number) as number },
    });
    expect(existsSync(store.paths.root)).toBe(false);
  });
});
