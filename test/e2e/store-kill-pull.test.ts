import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { hexOf } from "../../src/store/digest.ts";
import { hasDockerRegistry } from "../support/docker-registry.ts";
import type { PullScene } from "../support/pull-scene.ts";
import { FOUR_PIECES, succeed } from "../support/published-model.ts";
import { registryScenes } from "../support/registry-scenes.ts";
import { seededRandom } from "../support/seeded-random.ts";

const MB = 1e6;
const random = seededRandom("moments at which pulls are killed");
const moments = Array.from({ length: 20 }, random);
/** One that is late enough for the journal to have something to say. */
const byBytes = [0.9, ...moments.slice(0, 10)];
const byCalls = moments.slice(10);
const kept: number[] = [];
let last: PullScene;

describe.skipIf(!hasDockerRegistry)("a pull that is killed", () => {
  const scenes = registryScenes({ text: FOUR_PIECES });
  /** Calls that change files, of a pull that is not killed. */
  let calls = 0;
  beforeAll(async () => {
    const scene = await scenes.open();
    const count = join(scenes.folder, "calls");
    await succeed(scene.killedAt({ count }));
    calls = Number(readFileSync(count, "utf8"));
  });

  describe.concurrent("while bytes come", () => {
    it.each(byBytes)("after %f of them", async (moment) => {
      const scene = await scenes.open();
      const { proxy } = scene;
      // Slow enough for the journal, which is written twice a second, to get something to say.
      proxy.bytesPerSecond = 12 * MB;
      const killed = await scene.pull({
        onStart: (child) => {
          proxy.onBytes = (total) => {
            if (total >= moment * scenes.published.model.size) child.kill("SIGKILL");
          };
        },
      });
      expect(killed.code).toBeNull();
      kept.push(await scene.expectRecovery());
      last = scene;
    });
  });

  it("goes on with what it had, and the model answers in the end", async () => {
    expect(kept).toHaveLength(byBytes.length);
    expect(Math.max(...kept)).toBeGreaterThan(MB);
    await last.expectAnswer();
  });

  describe.concurrent("at a call that changes files", () => {
    it.each(byCalls)("%f of them", async (moment) => {
      const scene = await scenes.open();
      const killed = await scene.killedAt({ at: 1 + Math.floor(moment * calls) });
      // How many there are depends on how the bytes come: the last may not be reached.
      expect(moment < 0.5 && killed.code !== null).toBe(false);
      await scene.expectRecovery();
    });
  });

  describe.concurrent("right", () => {
    const blob = (hex: string): string => `^rename \\S+ \\S+/blobs/sha256-${hex}$`;
    it.each<[string, (last: string, model: string) => { before?: string; after?: string }]>([
      ["after its model has its name, which no record vouches for", (_, model) => ({ after: blob(model) })],
      ["after its last blob has its name, and no manifest names it", (last) => ({ after: blob(last) })],
      ["before its manifest has its name", () => ({ before: "^rename \\S+ \\S+/manifests/" })],
      ["after its manifest has its name", () => ({ after: "^rename \\S+ \\S+/manifests/" })],
      ["before the journal goes", () => ({ before: "^unlink \\S+\\.journal$" })],
      ["between the journal and the data", () => ({ after: "^unlink \\S+\\.journal$" })],
    ])("%s", async (_, pointOf) => {
      const scene = await scenes.open();
      const { stored, model } = scenes.published;
      const last = stored.manifest.layers.at(-1) as typeof model;
      const killed = await scene.killedAt(pointOf(hexOf(last.digest), hexOf(model.digest)));
      expect(killed.code).toBeNull();
      await scene.expectRecovery();
    });
  });
});
