import { cpSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { shortDigest } from "../../src/store/digest.ts";
import { storePaths } from "../../src/store/store-paths.ts";
import { mull } from "../support/command.ts";
import { hasDockerRegistry } from "../support/docker-registry.ts";
import { ask, FOUR_PIECES, succeed } from "../support/published-model.ts";
import type { PullScene } from "../support/pull-scene.ts";
import { registryScenes } from "../support/registry-scenes.ts";
import { canMount, mountDisk, type SmallDisk } from "../support/small-disk.ts";

const MB = 1e6;
/** What is left to others, and to the file system. */
const RESERVE = 64 * 2 ** 20;

describe.skipIf(!hasDockerRegistry || !canMount)("a store", () => {
  const scenes = registryScenes({ text: FOUR_PIECES });
  const disks: SmallDisk[] = [];
  afterAll(() => {
    for (const disk of disks) disk.unmount();
  });

  async function onDisk(bytes: number): Promise<{ scene: PullScene; disk: SmallDisk }> {
    const disk = mountDisk(bytes);
    disks.push(disk);
    const scene = await scenes.open({ root: join(disk.path, "models") });
    return { scene, disk };
  }

  describe.concurrent("on a disk that is full", () => {
    it("in the middle of a pull keeps what came, is read, and goes on when there is room", async () => {
      const { scene, disk } = await onDisk(RESERVE + 40 * MB);
      const { proxy } = scene;
      proxy.bytesPerSecond = 10 * MB;
      proxy.onBytes = (total) => {
        if (total < 9 * MB) return;
        proxy.onBytes = () => {};
        disk.leave(0);
      };
      const { code, stderr } = await scene.pull();
      expect(stderr).toMatch(/Error: The disk of the model store \S+ is full: ENOSPC/);
      expect(stderr).toContain("what is whole in the store stays");
      expect(code).toBe(1);
      expect((await scene.mull(["list"])).code).toBe(0);
      await scene.expectVerified();
      disk.leave(RESERVE + 30 * MB);
      expect(await scene.expectRecovery()).toBeGreaterThan(MB);
      await scene.expectAnswer();
    });

    it("by far refuses a pull before the first byte of it", async () => {
      const { scene, disk } = await onDisk(RESERVE + 5 * MB);
      const { code, stderr } = await scene.pull();
      expect(stderr).toMatch(/Error: 17 MB do not fit on the disk of \S+: \d+ MB are free, of which 67 MB/);
      expect(code).toBe(1);
      expect(scene.blobRequests()).toEqual([]);
      disk.leave(RESERVE + 30 * MB);
      await scene.expectRecovery();
    });

    it("at the last step of a pull fetches nothing again", async () => {
      const { scene, disk } = await onDisk(RESERVE + 40 * MB);
      const last = scenes.published.stored.manifest.layers.at(-1);
      scene.proxy.fault = ({ digest }) => {
        if (digest === last?.digest) disk.leave(0);
        return undefined;
      };
      const { code, stderr } = await scene.pull();
      expect(stderr).toMatch(/is full: ENOSPC/);
      expect(code).toBe(1);
      disk.leave(RESERVE + 30 * MB);
      expect(await scene.expectRecovery()).toBeGreaterThan(scenes.published.model.size);
    });

    it("while a model is quantised says so, leaves nothing, and does it when there is room", async () => {
      const { scene, disk } = await onDisk(RESERVE + 60 * MB);
      const file = join(scenes.folder, "full.gguf");
      cpSync(storePaths(scenes.published.root).blob(scenes.published.model.digest), file);
      const modelfile = join(scenes.folder, "Full");
      writeFileSync(modelfile, `FROM ${file}\n`);
      const args = ["create", "made", "-f", modelfile, "-q", "q8_0"];
      const { code, stderr } = await scene.mull(args, {
        onStart: ({ stderr: lines }) => {
          lines?.on("data", (text: string) => {
            if (text.includes("quantizing")) disk.leave(MB);
          });
        },
      });
      expect(stderr).toMatch(/Error: .*(?:is full|do(?:es)? not fit|no room|ENOSPC)/);
      expect(code).toBe(1);
      await scene.expectVerified();
      disk.leave(RESERVE + 30 * MB);
      await succeed(scene.mull(args));
      await scene.expectVerified();
      await succeed(scene.mull(["run", "made", "hello", "--num-predict", "4"]));
      await scene.expectClean();
    });

    it("can be made room on, with nothing free at all", async () => {
      const { scene, disk } = await onDisk(RESERVE + 40 * MB);
      await succeed(scene.pull());
      disk.leave(0);
      await succeed(scene.mull(["rm", scene.name]));
      expect(readdirSync(scene.paths.blobs)).toEqual([]);
      disk.leave(RESERVE + 30 * MB);
      await scene.expectRecovery();
    });
  });

  describe("that is only read", () => {
    it("lists, runs and verifies, refuses to change, and changes when it may", async () => {
      const { scene, disk } = await onDisk(RESERVE + 60 * MB);
      await succeed(scene.pull());
      disk.remount("ro");
      const listed = await succeed(scene.mull(["list"]));
      expect(listed.stdout).toContain(scene.name);
      await scene.expectAnswer();
      await scene.expectVerified();
      for (const args of [
        ["rm", scene.name],
        ["cp", scene.name, "another"],
        ["prune"],
        ["pull", `http://${scene.name}`],
      ]) {
        const { code, stderr } = await scene.mull(args);
        expect(stderr).toMatch(/Error: The model store \S+ refuses access: EROFS/);
        expect(code).toBe(1);
      }
      disk.remount("rw");
      await scene.expectRecovery();
      expect(scene.blobRequests()).toEqual([]);
      await scene.expectClean();
    });

    it("in the middle of a pull goes on when it may be written to again", async () => {
      const { scene, disk } = await onDisk(RESERVE + 60 * MB);
      scene.proxy.bytesPerSecond = 10 * MB;
      await scene.pull({ onStart: (child) => scene.killWhenKept(child, 2 * MB) });
      disk.remount("ro");
      expect(await scene.pull()).toMatchObject({ code: 1 });
      await scene.expectVerified();
      disk.remount("rw");
      expect(await scene.expectRecovery()).toBeGreaterThan(MB);
    });

    it("and damaged is not run, and verify says what is damaged", async () => {
      const { scene, disk } = await onDisk(RESERVE + 60 * MB);
      await succeed(scene.pull());
      const { digest } = scenes.published.projector;
      writeFileSync(scene.paths.blob(digest), "no projector");
      disk.remount("ro");
      const asked = await ask(scene.name, scene.env);
      expect(asked).toMatchObject({ code: 1, stdout: "" });
      expect(asked.stderr).toContain(`its projector ${shortDigest(digest)} is damaged`);
      const line = `damaged: ${shortDigest(digest)} (${scene.name}:latest): its content is not what its name says`;
      await scene.expectVerified([line]);
      await scene.expectVerified([line]);
      disk.remount("rw");
      await scene.expectRecovery([line]);
    });
  });
});

const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
/** Who may not read the command itself cannot run it. */
const canBeNobody =
  process.getuid?.() === 0 &&
  (await mull(["--version"], { through: asNobody }).catch(() => undefined))?.code === 0;
if (!canBeNobody)
  console.warn("Skipped: a store of another user, for which one must be root and have setpriv.");

describe.skipIf(!hasDockerRegistry || !canBeNobody)("a store of another user", () => {
  const scenes = registryScenes({ text: FOUR_PIECES });

  it("is listed, run and verified, and refuses to be changed", async () => {
    const scene = await scenes.open();
    await succeed(scene.pull());
    const open = {
      through: ["sh", "-c", `chmod -R a+rX ${join(scene.paths.root, "..")} && exec "$@"`, "sh", ...asNobody],
    };
    const listed = await scene.mull(["list"], open);
    expect(listed).toMatchObject({ code: 0, stderr: "" });
    expect(listed.stdout).toContain(scene.name);
    const asked = await scene.mull(
      ["run", scene.name, "hello", "--num-predict", "6", "--temperature", "0"],
      open,
    );
    expect(asked).toMatchObject({ code: 0, stdout: scenes.published.answer });
    expect(await scene.mull(["verify", "--no-repair"], open)).toMatchObject({ code: 0 });
    for (const args of [["rm", scene.name], ["prune"], ["pull", `http://${scene.name}`]]) {
      const { code, stderr } = await scene.mull(args, open);
      expect(stderr).toMatch(/Error: The model store \S+ refuses access: EACCES/);
      expect(code).toBe(1);
    }
    expect(existsSync(scene.paths.blob(scenes.published.model.digest))).toBe(true);
    await scene.expectRecovery();
  });
});
