import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { shortDigest } from "../../src/store/digest.ts";
import type { CommandOptions } from "../support/command.ts";
import { hasDockerRegistry } from "../support/docker-registry.ts";
import { FOUR_PIECES, succeed } from "../support/published-model.ts";
import { registryScenes } from "../support/registry-scenes.ts";

const MB = 1e6;
const hasFaketime = spawnSync("faketime", ["--version"], { stdio: "ignore" }).status === 0;
if (!hasFaketime)
  console.warn(
    "Skipped: tests of clocks that are wrong: faketime is not installed (apt-get install faketime).",
  );

/** The command sees the time changed by so much; how fast time goes stays the same. */
const at = (shift: string): CommandOptions => ({
  through: ["faketime", "-f", shift],
  env: { DONT_FAKE_MONOTONIC: "1" },
});

describe.skipIf(!hasDockerRegistry || !hasFaketime)("a clock", () => {
  const scenes = registryScenes({ text: FOUR_PIECES });

  describe.concurrent.each([
    ["set back by ten years", "+0d", "-10y"],
    ["that was ten years ahead", "+10y", "+0d"],
    ["set forward by ten years", "+0d", "+10y"],
  ])("%s", (_, before, after) => {
    it("in the middle of a pull does not matter to what is there", async () => {
      const scene = await scenes.open();
      scene.proxy.bytesPerSecond = 10 * MB;
      const killed = await scene.pull({
        ...at(before),
        onStart: (child) => scene.killWhenKept(child, 2 * MB),
      });
      expect(killed.code).toBeNull();
      scene.proxy.reset();
      const kept = await scene.keptRanges();
      expect(kept.length).toBeGreaterThan(1);
      await succeed(scene.pull(at(after)));
      scene.expectNotFetched(kept);
      expect(await scene.expectRecovery()).toBeGreaterThan(MB);
      expect(scene.blobRequests()).toEqual([]);
    });
  });

  it.concurrent("set back by ten years does not matter to a model that is there, and what is damaged is found", async () => {
    const scene = await scenes.open();
    await succeed(scene.pull(at("+0d")));
    expect((await succeed(scene.mull(["list"], at("-10y")))).stdout).toContain(scene.name);
    const asked = await scene.mull(
      ["run", scene.name, "hello", "--num-predict", "6", "--temperature", "0"],
      at("-10y"),
    );
    expect(asked).toMatchObject({ code: 0, stdout: scenes.published.answer });
    await succeed(scene.mull(["verify", "--no-repair"], at("-10y")));
    await succeed(scene.mull(["cp", scene.name, "copy"], at("-10y")));
    await succeed(scene.mull(["rm", "copy"], at("+0d")));
    await succeed(scene.mull(["prune"], at("-10y")));
    const { digest } = scenes.published.projector;
    writeFileSync(scene.paths.blob(digest), "no projector");
    const damaged = await scene.mull(["run", scene.name, "hello"], at("-10y"));
    expect(damaged.code).toBe(1);
    expect(damaged.stderr).toContain(`its projector ${shortDigest(digest)} is damaged`);
    await succeed(scene.pull(at("-10y")));
    await scene.expectRecovery();
  });

  it.concurrent("that jumps to and fro while a pull goes on does not matter to it", async () => {
    const scene = await scenes.open();
    const file = join(scenes.folder, "faketime");
    writeFileSync(file, "+0");
    scene.proxy.bytesPerSecond = 8 * MB;
    const jumps = ["-3y", "+3y", "-1d", "+0"];
    let jumped = 0;
    scene.proxy.onBytes = (total) => {
      if (total < (jumped + 1) * MB) return;
      writeFileSync(file, jumps[jumped % jumps.length] as string);
      jumped += 1;
    };
    await succeed(
      scene.pull({
        // The file says what time it is only to whom nothing else does.
        through: ["faketime", "-f", "+0", "sh", "-c", 'unset FAKETIME; exec "$@"', "sh"],
        env: { DONT_FAKE_MONOTONIC: "1", FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: "1" },
      }),
    );
    expect(jumped).toBeGreaterThan(10);
    const sent = scene.blobRequests().reduce((sum, request) => sum + request.sent, 0);
    expect(sent).toBeLessThan(scenes.published.stored.bytes * 1.3);
    await scene.expectRecovery();
    await scene.expectAnswer();
  });
});
