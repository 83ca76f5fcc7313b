import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openStore } from "../../src/store/open-store.ts";
import { storePaths } from "../../src/store/store-paths.ts";
import { mull } from "../support/command.ts";
import { hasDockerRegistry } from "../support/docker-registry.ts";
import { FOUR_PIECES, ONE_PIECE, publishModel, succeed } from "../support/published-model.ts";
import type { PullScene } from "../support/pull-scene.ts";
import { registryScenes } from "../support/registry-scenes.ts";
import { findProblems, nameOf } from "../support/store-models.ts";

const MB = 1e6;

describe.skipIf(!hasDockerRegistry).concurrent("a model that is pushed", () => {
  const scenes = registryScenes({ text: FOUR_PIECES });

  /** The published model under another name in the same registry, where nothing of it is: pushed through the proxy. */
  async function copied(
    repository: string,
  ): Promise<{ scene: PullScene; name: string; env: Record<string, string> }> {
    const scene = await scenes.open();
    const { root, stored } = scenes.published;
    const own = join(scene.paths.root, "..", "pushing");
    cpSync(root, own, { recursive: true });
    const store = openStore({ root: own });
    const name = `${scene.proxy.host}/${repository}`;
    await store.copy(stored.name, nameOf(name));
    await store.remove(stored.name);
    return { scene, name, env: { ...scene.env, MULL_MODELS: own } };
  }

  const uploaded = (scene: PullScene): number =>
    scene.proxy.seen.reduce((sum, { what, uploaded }) => sum + (what === "upload" ? uploaded : 0), 0);

  async function expectThere(scene: PullScene, name: string): Promise<void> {
    scene.proxy.reset();
    await succeed(scene.mull(["pull", `http://${name}`]));
    const store = openStore({ root: scene.paths.root });
    expect((await store.find(nameOf(name)))?.digest).toBe(scenes.published.stored.digest);
    expect(await findProblems(store)).toEqual([]);
  }

  it("goes on where an upload was interrupted between its pieces", async () => {
    const { scene, name, env } = await copied("library/interrupted");
    const failed = new Set<string>();
    scene.proxy.fault = ({ method, what }) => {
      if (!["PATCH", "PUT"].includes(method) || failed.has(`${method} ${what}`)) return undefined;
      failed.add(`${method} ${what}`);
      return { answer: { status: 503, body: "" } };
    };
    await succeed(mull(["push", `http://${name}`], { env }));
    expect([...failed]).toEqual(["PATCH upload", "PUT upload", "PUT manifest"]);
    expect(uploaded(scene)).toBe(scenes.published.stored.bytes);
    await expectThere(scene, name);
  });

  it("begins a blob anew that was interrupted within a piece, of which this registry keeps nothing", async () => {
    const { scene, name, env } = await copied("library/cut");
    let cuts = 0;
    scene.proxy.fault = ({ method }) =>
      method === "PATCH" && cuts++ === 0 ? { cutUploadAfter: 6 * MB } : undefined;
    await succeed(mull(["push", `http://${name}`], { env }));
    expect(uploaded(scene)).toBe(scenes.published.stored.bytes + 6 * MB);
    await expectThere(scene, name);
  });

  it("by a process that is killed is not there by half, and what was whole is not sent again", async () => {
    const { scene, name, env } = await copied("library/killed");
    const { model } = scenes.published;
    const killed = await mull(["push", `http://${name}`], {
      env,
      onStart: (child) => {
        scene.proxy.fault = ({ method, path }) => {
          if (method === "HEAD" && !path.includes(model.digest)) child.kill("SIGKILL");
          return undefined;
        };
      },
    });
    expect(killed.code).toBeNull();
    scene.proxy.reset();
    expect(await scene.mull(["pull", `http://${name}`])).toMatchObject({ code: 3 });
    await succeed(mull(["push", `http://${name}`], { env }));
    expect(uploaded(scene)).toBeLessThan(model.size);
    await succeed(scene.mull(["pull", `http://${name}`]));
  });

  it("and damaged is not sent", async () => {
    const { scene, name, env } = await copied("library/damaged");
    const { projector } = scenes.published;
    const paths = storePaths(env["MULL_MODELS"] as string);
    cpSync(paths.blob(scenes.published.model.digest), paths.blob(projector.digest));
    const { code, stderr } = await mull(["push", `http://${name}`], { env });
    expect(stderr).toContain("is missing or damaged");
    expect(code).toBe(1);
    expect(await scene.mull(["pull", `http://${name}`])).toMatchObject({ code: 3 });
  });

  it("anew under the same tag takes the place of the old one, whose layers go", async () => {
    const folder = join(scenes.folder, "moving");
    mkdirSync(folder);
    const repository = "library/moving";
    const old = await publishModel(folder, scenes.registry.host, {
      repository,
      text: ONE_PIECE,
      system: "One.",
    });
    const scene = await scenes.open({ published: old });
    await succeed(scene.pull());
    await scene.expectPulled();
    await scene.expectAnswer();

    const moved = await publishModel(folder, scenes.registry.host, {
      repository,
      text: { ...ONE_PIECE, seed: 9 },
      system: "Two.",
    });
    expect(moved.model.digest).not.toBe(old.model.digest);
    expect(moved.projector.digest).toBe(old.projector.digest);
    scene.proxy.reset();
    // Killed when all is there but its name: the old one is whole, and stays.
    expect((await scene.killedAt({ before: "^rename \\S+ \\S+/manifests/" })).code).toBeNull();
    await scene.expectPulled(old);
    await scene.expectAnswer();
    expect(scene.blobRequests(old.projector.digest)).toEqual([]);

    scene.proxy.reset();
    const { stderr } = await succeed(scene.pull());
    expect(stderr).toContain("removing unused layers");
    expect(scene.blobRequests()).toEqual([]);
    await scene.expectPulled(moved);
    const store = openStore({ root: scene.paths.root });
    expect(await store.blobState(old.model)).toBe("absent");
    expect(await store.blobState(moved.projector)).toBe("intact");
    await scene.expectClean();
    const asked = await scene.mull(["run", scene.name, "hello", "--num-predict", "6", "--temperature", "0"]);
    expect(asked).toMatchObject({ code: 0, stdout: moved.answer });
    expect(moved.answer).not.toBe(old.answer);
  });
});
