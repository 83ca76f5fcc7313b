import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { openStore } from "../../src/store/open-store.ts";
import { storePaths } from "../../src/store/store-paths.ts";
import { hasDockerRegistry } from "../support/docker-registry.ts";
import { ONE_PIECE, type PublishedModel, publishModel, succeed } from "../support/published-model.ts";
import type { PullScene } from "../support/pull-scene.ts";
import { registryScenes } from "../support/registry-scenes.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { nameOf } from "../support/store-models.ts";

const random = seededRandom("moments at which changes of a store are killed");
const moments = (count: number): number[] => Array.from({ length: count }, random);

describe.skipIf(!hasDockerRegistry)("a process that is killed", () => {
  const scenes = registryScenes({ text: ONE_PIECE });

  describe("while it creates a model", () => {
    const args = (scene: PullScene): string[] => {
      const modelfile = join(scenes.folder, "Quantized");
      return ["create", `${scene.proxy.host}/library/quantized`, "-f", modelfile, "-q", "q8_0"];
    };
    const created = async (scene: PullScene): Promise<string | undefined> => {
      const store = openStore({ root: scene.paths.root });
      return (await store.find(nameOf(`${scene.proxy.host}/library/quantized`)))?.digest;
    };
    /** Of a creation that is not killed. */
    let expected: { calls: number; milliseconds: number; digest: string };
    beforeAll(async () => {
      const { model, projector, root } = scenes.published;
      const [from, seeing] = [model, projector].map(({ digest }) => storePaths(root).blob(digest));
      // Not in the store: what is there already is not brought in.
      const files = ["model.gguf", "mmproj.gguf"].map((name) => join(scenes.folder, name));
      cpSync(from as string, files[0] as string);
      cpSync(seeing as string, files[1] as string);
      writeFileSync(join(scenes.folder, "Quantized"), `FROM ${files[0]}\nPROJECTOR ${files[1]}\nSYSTEM hi\n`);
      const scene = await scenes.open();
      const count = join(scenes.folder, "calls");
      const start = performance.now();
      await succeed(scene.killedAt({ count }, args(scene)));
      const milliseconds = performance.now() - start;
      const calls = Number(readFileSync(count, "utf8"));
      expected = { calls, milliseconds, digest: (await created(scene)) as string };
    });

    /** A repetition makes the very same model, and nothing of the dead process stays. */
    async function expectCreation(scene: PullScene): Promise<void> {
      await scene.expectVerified();
      await succeed(scene.mull(args(scene)));
      expect(await created(scene)).toBe(expected.digest);
      await scene.expectClean();
    }

    describe.concurrent("at a call that changes files", () => {
      it.each(moments(10))("%f of them", async (moment) => {
        const scene = await scenes.open();
        const { code } = await scene.killedAt({ at: 1 + Math.floor(moment * expected.calls) }, args(scene));
        expect(code).toBeNull();
        await expectCreation(scene);
      });
    });

    describe.concurrent("at a time", () => {
      it.each(moments(10))("%f of its length", async (moment) => {
        const scene = await scenes.open();
        await scene.mull(args(scene), {
          onStart: (child) => {
            void sleep(moment * expected.milliseconds).then(() => child.kill("SIGKILL"));
          },
        });
        await expectCreation(scene);
      });
    });

    it("makes a model that answers", async () => {
      const scene = await scenes.open();
      await succeed(scene.mull(args(scene)));
      const run = scene.mull(["run", `${scene.proxy.host}/library/quantized`, "hello", "--num-predict", "4"]);
      expect((await run).code).toBe(0);
    });
  });

  describe("while it removes", () => {
    let other: PublishedModel;
    /** With both models, which share a projector, and with what a prune has to do. */
    let full: PullScene;
    let calls: Record<"rm" | "prune", number>;
    beforeAll(async () => {
      other = await publishModel(mkdir(scenes.folder, "other"), scenes.registry.host, {
        repository: "library/other",
        text: { ...ONE_PIECE, seed: 7 },
        system: "Be kind.",
      });
      full = await scenes.open();
      await succeed(full.pull());
      await succeed(full.mull(["pull", `http://${full.nameOf(other)}`]));
      calls = { rm: await countCalls("rm"), prune: await countCalls("prune") };
    });

    async function countCalls(what: "rm" | "prune"): Promise<number> {
      const scene = await prepared(what);
      const count = join(scenes.folder, "calls");
      await succeed(scene.killedAt({ count }, argsOf(what, scene)));
      return Number(readFileSync(count, "utf8"));
    }

    /** For a prune: without the manifest, as whoever died in the middle of a removal leaves it. */
    async function prepared(what: "rm" | "prune"): Promise<PullScene> {
      const scene = await scenes.open({ like: full });
      if (what === "rm") return scene;
      const manifest = scene.paths.manifest(nameOf(scene.name));
      renameSync(manifest, join(scene.paths.root, "gone"));
      mkdirSync(scene.paths.damaged, { recursive: true });
      for (const [folder, name] of [
        [scene.paths.damaged, "mull-damaged.1"],
        [scene.paths.partial, "temporary.1234567890abcdef-1-1-1234567890abcdef"],
        [scene.paths.verified, "ab".repeat(32)],
      ] as const)
        writeFileSync(join(folder, name), "left over");
      return scene;
    }

    const argsOf = (what: "rm" | "prune", scene: PullScene): string[] =>
      what === "rm" ? ["rm", scene.name] : ["prune"];

    it.concurrent.each([
      ...moments(10).map((moment) => ["rm", moment] as const),
      ...moments(10).map((moment) => ["prune", moment] as const),
    ])("with %s, at %f of its calls", async (what, moment) => {
      const scene = await prepared(what);
      const { code } = await scene.killedAt(
        { at: 1 + Math.floor(moment * calls[what]) },
        argsOf(what, scene),
      );
      expect(code).toBeNull();
      // What is left of one model is gone on with, and the other never lacked anything.
      await scene.expectVerified();
      await scene.expectPulled(other);
      await scene.expectRecovery();
      await scene.expectClean();
    });

    it("leaves a model that answers", async () => {
      await full.expectAnswer();
    });
  });
});

function mkdir(...parts: string[]): string {
  const folder = join(...parts);
  mkdirSync(folder, { recursive: true });
  return folder;
}
