import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hexOf } from "../../src/store/digest.ts";
import { hasDockerRegistry } from "../support/docker-registry.ts";
import { FOUR_PIECES, succeed } from "../support/published-model.ts";
import type { PullScene } from "../support/pull-scene.ts";
import { registryScenes } from "../support/registry-scenes.ts";

const MB = 1e6;

describe.skipIf(!hasDockerRegistry)("a store with garbage in it", () => {
  const scenes = registryScenes({ text: FOUR_PIECES });
  let halfPulled: Promise<PullScene> | undefined;

  /** A store with a pull of which a good part is there. */
  async function half(): Promise<PullScene> {
    halfPulled ??= scenes.open().then(async (first) => {
      first.proxy.bytesPerSecond = 10 * MB;
      await first.pull({ onStart: (child) => first.killWhenKept(child, 6 * MB) });
      return first;
    });
    return scenes.open({ like: await halfPulled });
  }

  const partial = (scene: PullScene): { data: string; journal: string } => {
    const path = join(scene.paths.partial, hexOf(scenes.published.model.digest));
    return { data: `${path}.data`, journal: `${path}.journal` };
  };

  describe.concurrent("after an unfinished pull", () => {
    it.each<[string, (files: { data: string; journal: string }) => void]>([
      ["whose journal is empty", ({ journal }) => truncateSync(journal)],
      ["whose data are empty", ({ data }) => truncateSync(data)],
      ["whose data are gone", ({ data }) => rmSync(data)],
      ["whose journal is gone", ({ journal }) => rmSync(journal)],
      ["whose journal is noise", ({ journal }) => writeFileSync(journal, randomBytes(4096))],
      [
        "whose journal is cut off in a line",
        ({ journal }) => truncateSync(journal, readFileSync(journal).length - 9),
      ],
      ["whose data are a byte too long", ({ data }) => writeFileSync(data, "x", { flag: "a" })],
    ])("%s, the model comes whole", async (_, spoil) => {
      const scene = await half();
      spoil(partial(scene));
      await scene.expectRecovery();
    });

    it("whose data were changed, only the piece with the change is fetched again", async () => {
      const scene = await half();
      const kept = (await scene.keptRanges()).filter(
        ({ digest }) => digest === scenes.published.model.digest,
      );
      const bytes = kept.reduce((sum, { start, end }) => sum + end - start, 0);
      const file = openSync(partial(scene).data, "r+");
      writeSync(file, Buffer.alloc(1000), 0, 1000, 100_000);
      closeSync(file);
      await succeed(scene.pull());
      const sent = scene
        .blobRequests(scenes.published.model.digest)
        .reduce((sum, request) => sum + request.sent, 0);
      expect(sent).toBeGreaterThan(scenes.published.model.size - bytes);
      expect(sent).toBeLessThan(scenes.published.model.size);
      await scene.expectRecovery();
    });

    it("that is weeks old goes on, also after a prune, but not after one that removes it", async () => {
      const scene = await half();
      const { data, journal } = partial(scene);
      const longAgo = new Date("2020-02-29");
      for (const path of [data, journal]) utimesSync(path, longAgo, longAgo);
      const other = await scenes.open({ like: scene });
      await succeed(scene.mull(["prune"]));
      expect(existsSync(data) && existsSync(journal)).toBe(true);
      expect(await scene.expectRecovery()).toBeGreaterThan(MB);

      expect((await succeed(other.mull(["prune", "--partials"]))).stdout).toMatch(/15\.3 MB|\d+ MB/);
      expect(existsSync(partial(other).data) || existsSync(partial(other).journal)).toBe(false);
      await other.expectRecovery();
    });

    it("whose place a folder or a link takes, nothing is written elsewhere, and a prune makes room", async () => {
      const scene = await half();
      const { data } = partial(scene);
      const victim = join(scenes.folder, "victim");
      writeFileSync(victim, "mine");
      for (const take of [() => mkdirSync(data), () => symlinkSync(victim, data)]) {
        rmSync(data, { recursive: true });
        take();
        const { code, stderr } = await scene.pull();
        expect(stderr).toMatch(/Error: The model store \S+ does not work: E(?:ISDIR|LOOP)/);
        expect(code).toBe(1);
      }
      expect(readFileSync(victim, "utf8")).toBe("mine");
      await succeed(scene.mull(["prune", "--partials"]));
      await scene.expectRecovery();
      expect(readFileSync(victim, "utf8")).toBe("mine");
    });
  });

  it.concurrent("in every folder is listed, run, verified, pruned, removed from and pulled to", async () => {
    const scene = await scenes.open();
    await succeed(scene.pull());
    const { blobs, locks, manifests, partial: unfinished, verified } = scene.paths;
    const noise = (...path: string[]): void => writeFileSync(join(...path), randomBytes(100));
    for (const folder of [blobs, locks, manifests, unfinished, verified]) {
      for (const name of [".DS_Store", "README", "sha256-123", "noise.data", "noise.journal", "temporary.x"])
        noise(folder, name);
      mkdirSync(join(folder, "a folder"));
      noise(folder, "a folder", "noise");
      symlinkSync("/nonexistent", join(folder, "mull-arriving.link"));
    }
    // As if processes elsewhere had left them: who they are cannot be told.
    const lock = createHash("sha256").update("store").digest("hex").slice(0, 24);
    for (const name of ["pin.noise", "choosing.noise", "ticket.noise", `choosing.${lock}.noise`])
      noise(locks, name);
    const elsewhere = `${"a".repeat(16)}-1-1-${"b".repeat(16)}`;
    noise(locks, `ticket.${lock}.000000000000001.${elsewhere}`);
    for (const name of ["pin.folder", `ticket.${lock}.folder`]) mkdirSync(join(locks, name));
    symlinkSync("/nonexistent", join(locks, "pin.link"));

    await succeed(scene.mull(["list"]));
    await scene.expectAnswer();
    const link = join(manifests, "mull-arriving.link");
    const line = `unreadable: ${link}: it is a link, and links are not followed`;
    await scene.expectVerified([line]);
    // Each waits 15 s for what may be a process elsewhere to move.
    await Promise.all([["rm", scene.name], ["prune"]].map((args) => succeed(scene.mull(args))));
    rmSync(link, { force: true });
    await scene.expectRecovery();
    await succeed(scene.mull(["prune", "--partials"]));
    await scene.expectAnswer();
  });
});
