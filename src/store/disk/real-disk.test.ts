import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  bytesOf,
  chunksOf,
  findProblems,
  manifestBytes,
  nameOf,
  newStoreFolder,
  removeStoreFolders,
  textDigest,
  writeModel,
} from "../../../test/support/store-models.ts";
import { digestOf, digestOfHex } from "../digest.ts";
import { openStore } from "../open-store.ts";

const mounts: string[] = [];
afterAll(() => {
  for (const folder of mounts) execFileSync("umount", [folder], { stdio: "ignore" });
  removeStoreFolders();
});

/** A disk in memory. @throws where this user may mount none */
function mountDisk(folder: string, size: string): string {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "none", folder], { stdio: "ignore" });
  mounts.push(folder);
  return folder;
}

/** Containers have a root user who may not mount. */
function canMount(): boolean {
  try {
    mountDisk(newStoreFolder(), "1m");
    return true;
  } catch {
    console.warn("Tests with a disk that is full or read-only are skipped: they need the right to mount.");
    return false;
  }
}

describe.runIf(canMount())("a real disk", () => {
  it("that gets full says so, keeps what it has, and goes on when there is room", async () => {
    const root = join(mountDisk(newStoreFolder(), "4m"), "models");
    const store = openStore({ root });
    await writeModel(store, "small", ["weights"]);
    const body = randomBytes(6_000_000);
    const receive = store.receiveBlob(chunksOf(body, 65_536), { expected: digestOf(body) });
    await expect(receive).rejects.toMatchObject({
      code: "insufficient_storage",
      hint: expect.stringMatching(/mull rm/),
    });
    const source = join(newStoreFolder(), "model.gguf");
    writeFileSync(source, body);
    await expect(store.importFile(source)).rejects.toMatchObject({ code: "insufficient_storage" });
    expect(readdirSync(store.paths.partial)).toEqual([]);
    expect(await findProblems(store)).toEqual([]);

    // To the last byte: removing still works.
    const filler = join(root, "..", "filler");
    expect(() => writeFileSync(filler, randomBytes(5_000_000))).toThrow("ENOSPC");
    await expect(store.writeBlob(bytesOf("more"))).rejects.toMatchObject({ code: "insufficient_storage" });
    expect((await store.find(nameOf("small")))?.name).toEqual(nameOf("small"));
    await store.remove(nameOf("small"));
    expect(await store.list()).toEqual([]);
    rmSync(filler);
    await writeModel(store, "small", ["weights"]);
    expect(await findProblems(store)).toEqual([]);
  });

  it("of its own for blobs, or for manifests, is written to as well", async () => {
    for (const folder of ["blobs", "manifests"]) {
      const root = newStoreFolder();
      mkdirSync(join(root, folder));
      mountDisk(join(root, folder), "4m");
      const store = openStore({ root });
      await writeModel(store, "llava", ["weights"]);
      await store.importFile(store.paths.blob(textDigest("weights")));
      expect(await store.blobState({ digest: textDigest("weights"), size: 7 })).toBe("intact");
      // What is damaged cannot be moved to another disk.
      writeFileSync(store.paths.blob(textDigest("weights")), "damaged");
      expect((await findProblems(store)).map(({ kind }) => kind)).toContain("damaged");
      await writeModel(store, "llava", ["weights"]);
      await store.prune();
      expect(await findProblems(store)).toEqual([]);
      expect(readdirSync(store.paths.locks)).toEqual([]);
    }
  });

  it("that is read-only is read from", async () => {
    const folder = mountDisk(newStoreFolder(), "4m");
    const root = join(folder, "models");
    await writeModel(openStore({ root }), "llava", ["weights"]);
    rmSync(join(root, "verified"), { recursive: true });
    execFileSync("mount", ["-o", "remount,ro", folder], { stdio: "ignore" });
    const store = openStore({ root });
    expect(await store.checkBlob({ digest: textDigest("weights"), size: 7 })).toBe(true);
    expect(await findProblems(store)).toEqual([]);
    await expect(store.remove(nameOf("llava"))).rejects.toMatchObject({ code: "store_unavailable" });
    await expect(store.writeManifest(nameOf("x"), manifestBytes(["weights"]))).rejects.toMatchObject({
      code: "store_unavailable",
    });
  });
});

describe("a large file", () => {
  const SIZE = 40_000_003;

  it("is hashed in a thread, which tells how far it is and can be stopped", async () => {
    const store = openStore({ root: join(newStoreFolder(), "models") });
    const body = randomBytes(SIZE);
    const digest = digestOfHex(createHash("sha256").update(body).digest("hex"));
    const source = join(newStoreFolder(), "model.gguf");
    writeFileSync(source, body);
    const progress: number[] = [];
    const totals = new Set<number>();
    const blob = await store.importFile(source, {
      onProgress: (completed, total) => {
        progress.push(completed);
        totals.add(total);
      },
    });
    expect(blob).toEqual({ digest, size: SIZE });
    expect(progress.at(-1)).toBe(SIZE);
    expect(progress).toEqual([...progress].sort((one, other) => one - other));
    expect([...totals]).toEqual([SIZE]);

    rmSync(store.paths.verification(digest));
    const controller = new AbortController();
    const check = store.checkBlob(blob, controller.signal);
    setImmediate(() => controller.abort());
    await expect(check).rejects.toMatchObject({ code: "aborted" });
    expect(await store.blobState(blob)).toBe("unverified");
    expect(await store.checkBlob(blob)).toBe(true);
    expect(existsSync(store.paths.verification(digest))).toBe(true);
    expect(statSync(source).size).toBe(SIZE);
  });
});
