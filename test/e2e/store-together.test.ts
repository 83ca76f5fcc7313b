import type { ChildProcess } from "node:child_process";
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { CommandResult } from "../support/command.ts";
import { hasDockerRegistry } from "../support/docker-registry.ts";
import { FOUR_PIECES, succeed } from "../support/published-model.ts";
import type { PullScene } from "../support/pull-scene.ts";
import { registryScenes } from "../support/registry-scenes.ts";

const MB = 1e6;

describe.skipIf(!hasDockerRegistry).concurrent("processes that work on one store at the same time", () => {
  const scenes = registryScenes({ text: FOUR_PIECES });

  /** Of blobs: every byte once is their sizes. */
  const sent = (scene: PullScene): number =>
    scene.blobRequests().reduce((sum, request) => sum + request.sent, 0);
  /** A connection that gives a share to another may have some of it on its way already. */
  const once = (): number => scenes.published.stored.bytes * 1.3;

  /** Runs commands over and over until something else has ended. */
  async function meanwhile(
    scene: PullScene,
    commands: readonly (readonly string[])[],
    work: Promise<CommandResult>,
  ): Promise<{ result: CommandResult; codes: (number | null)[] }> {
    const ended = new AbortController();
    const codes: (number | null)[] = [];
    const loop = async (): Promise<void> => {
      for (let round = 0; !ended.signal.aborted; round++) {
        codes.push((await scene.mull(commands[round % commands.length] as string[])).code);
      }
    };
    const running = loop();
    const result = await work.finally(() => ended.abort());
    await running;
    return { result, codes };
  }

  it("download a model that several pull once", async () => {
    const scene = await scenes.open();
    scene.proxy.bytesPerSecond = 15 * MB;
    const pulls = await Promise.all([scene.pull(), scene.pull(), scene.pull()]);
    expect(pulls.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(sent(scene)).toBeGreaterThanOrEqual(scenes.published.stored.bytes);
    expect(sent(scene)).toBeLessThan(once());
    await scene.expectRecovery();
    await scene.expectAnswer();
    expect(readdirSync(scene.paths.locks)).toEqual([]);
  });

  it("take over from one that is killed", async () => {
    const scene = await scenes.open();
    scene.proxy.bytesPerSecond = 10 * MB;
    const children: ChildProcess[] = [];
    const pull = (): Promise<CommandResult> => scene.pull({ onStart: (child) => void children.push(child) });
    const first = pull();
    await new Promise<void>((resolve) => {
      scene.proxy.onBytes = (total) => {
        if (total > MB) resolve();
      };
    });
    // Whoever comes now waits for the first.
    const others = [pull(), pull()];
    await new Promise<void>((resolve) => {
      scene.proxy.onBytes = (total) => {
        if (total > 10 * MB) resolve();
      };
    });
    children[0]?.kill("SIGKILL");
    expect((await first).code).toBeNull();
    const kept = await scene.keptRanges();
    const seen = scene.proxy.seen.length;
    const ended = await Promise.all(others);
    expect(ended.map(({ code }) => code)).toEqual([0, 0]);
    scene.proxy.seen.splice(0, seen);
    scene.expectNotFetched(kept.filter(({ digest }) => digest === scenes.published.model.digest));
    expect(kept.length).toBeGreaterThan(1);
    await scene.expectRecovery();
  });

  it("pull while others prune, with unfinished downloads, and remove", async () => {
    const scene = await scenes.open();
    scene.proxy.bytesPerSecond = 8 * MB;
    const { result, codes } = await meanwhile(
      scene,
      [["prune", "--partials"], ["prune"], ["rm", scene.name]],
      scene.pull(),
    );
    expect(result).toMatchObject({ code: 0 });
    expect(sent(scene)).toBeLessThan(once());
    // The model is removed when it is there, and not found before.
    expect(codes.filter((code) => code !== 0 && code !== 3)).toEqual([]);
    await scene.expectRecovery();
    await scene.expectAnswer();
  });

  it("create, copy and remove without losing a blob that another needs", async () => {
    const scene = await scenes.open();
    await succeed(scene.pull());
    const work = async (name: string): Promise<CommandResult> => {
      for (let round = 0; round < 3; round++) {
        await succeed(scene.mull(["cp", scene.name, name]));
        await succeed(scene.mull(["rm", name]));
      }
      return succeed(scene.mull(["cp", scene.name, name]));
    };
    const all = Promise.all([work("one"), work("two")]).then(([first]) => first);
    const { codes } = await meanwhile(scene, [["prune", "--partials"]], all);
    expect(codes.filter((code) => code !== 0)).toEqual([]);
    await succeed(scene.mull(["rm", scene.name]));
    // Its blobs are still those of the copies.
    expect(readdirSync(scene.paths.blobs)).toHaveLength(4);
    await scene.expectVerified();
    await succeed(scene.mull(["rm", "one", "two"]));
    expect(readdirSync(scene.paths.blobs)).toEqual([]);
    await scene.expectRecovery();
  });
});
