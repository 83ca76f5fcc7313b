import {
  closeSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { describe, expect, it } from "vitest";
import { shortDigest } from "../../src/store/digest.ts";
import { identityOf } from "../../src/store/disk/verification-record.ts";
import type { Descriptor } from "../../src/store/manifest.ts";
import { openStore } from "../../src/store/open-store.ts";
import { hasDockerRegistry } from "../support/docker-registry.ts";
import { ask, ONE_PIECE, succeed } from "../support/published-model.ts";
import type { PullScene } from "../support/pull-scene.ts";
import { registryScenes } from "../support/registry-scenes.ts";
import { findProblems, nameOf } from "../support/store-models.ts";

/** What happens to a file, and what `mull run` and then `mull verify` say of it. */
interface Damage {
  damage: (path: string) => void;
  run: "damaged" | "missing";
  verify: "damaged" | "missing";
}

const DAMAGES: Record<string, Damage> = {
  truncated: { damage: (path) => truncateSync(path, 1_000_000), run: "damaged", verify: "damaged" },
  emptied: { damage: (path) => truncateSync(path, 0), run: "damaged", verify: "damaged" },
  "flipped in one bit": {
    damage(path) {
      const at = 1_000_001;
      overwrite(path, at, Buffer.from([(readFileSync(path)[at] as number) ^ 4]));
    },
    run: "damaged",
    // It was hashed, and lies out of the way by now.
    verify: "missing",
  },
  "zeroed, with its size and time set back": {
    damage(path) {
      const { atime, mtime } = statSync(path);
      overwrite(path, 500_000, Buffer.alloc(700_000));
      utimesSync(path, atime, mtime);
    },
    run: "damaged",
    verify: "missing",
  },
  deleted: { damage: (path) => rmSync(path), run: "missing", verify: "missing" },
};

describe.skipIf(!hasDockerRegistry)("a blob that is damaged on the disk", () => {
  const scenes = registryScenes({ text: ONE_PIECE });
  let whole: Promise<PullScene> | undefined;

  async function pulled(): Promise<PullScene> {
    whole ??= scenes.open().then(async (first) => {
      await succeed(first.pull());
      return first;
    });
    const scene = await scenes.open({ like: await whole });
    // A copy has other times: every record of it is made anew.
    expect(await findProblems(openStore({ root: scene.paths.root }))).toEqual([]);
    return scene;
  }

  const blobOf = (kind: "model" | "projector"): Descriptor => scenes.published[kind];

  const lineOf = (scene: PullScene, what: Damage["verify"], kind: "model" | "projector"): string => {
    const line = `${what}: ${shortDigest(blobOf(kind).digest)} (${scene.name}:latest)`;
    return what === "damaged" ? `${line}: its content is not what its name says` : line;
  };

  const cases = Object.keys(DAMAGES).map((how) => ["model", how] as const);
  describe.concurrent.each([...cases, ["projector", "truncated"] as const])(
    "a %s that is %s",
    (kind, how) => {
      const { damage, run, verify } = DAMAGES[how] as Damage;

      it("is named by run, which does not answer with it, and by verify, which repairs it", async () => {
        const scene = await pulled();
        const { digest } = blobOf(kind);
        damage(scene.paths.blob(digest));
        expect(await scene.mull(["list"])).toMatchObject({
          code: 0,
          stdout: expect.stringContaining(`${scene.name}:latest`) as string,
        });
        expect(await ask(scene.name, scene.env)).toMatchObject({
          code: 1,
          stdout: "",
          stderr: `Error: ${scene.name}:latest: its ${kind} ${shortDigest(digest)} is ${run}.\nGet it again with: mull pull ${scene.name}:latest\n`,
        });
        await scene.expectVerified([lineOf(scene, verify, kind)]);
        const { stdout } = await succeed(scene.mull(["verify", "--repair"]));
        expect(stdout).toContain(`${scene.name}:latest is whole again.\n`);
        expectFetchedOnly(scene, digest);
        await scene.expectPulled();
        if (how === "truncated") await scene.expectAnswer();
      });

      it("is found by verify and by pull, which fetches nothing else", async () => {
        const scene = await pulled();
        const { digest } = blobOf(kind);
        damage(scene.paths.blob(digest));
        const found = how === "deleted" ? "missing" : "damaged";
        await scene.expectRecovery([lineOf(scene, found, kind)]);
        expectFetchedOnly(scene, digest);
      });
    },
  );

  function expectFetchedOnly(scene: PullScene, digest: string): void {
    expect(new Set(scene.blobRequests().map((request) => request.digest))).toEqual(new Set([digest]));
  }

  it.each(["flipped in one bit", "deleted"])("that is %s is found by pull", async (how) => {
    const scene = await pulled();
    const { digest } = scenes.published.model;
    DAMAGES[how]?.damage(scene.paths.blob(digest));
    await succeed(scene.pull());
    expectFetchedOnly(scene, digest);
    await scene.expectRecovery();
  });

  it("without any sign of it, as a disk does it, is found by verify", async () => {
    const scene = await pulled();
    const { digest } = scenes.published.model;
    const path = scene.paths.blob(digest);
    overwrite(path, 1_000_000, Buffer.alloc(4096));
    const record = { version: 1, ...identityOf(statSync(path, { bigint: true })) };
    writeFileSync(scene.paths.verification(digest), JSON.stringify(record));
    expect((await succeed(scene.pull())).stderr).toContain("success");
    await scene.expectVerified([
      `damaged: ${shortDigest(digest)} (${scene.name}:latest): its content is not what its name says`,
    ]);
    await scene.expectRecovery([`missing: ${shortDigest(digest)} (${scene.name}:latest)`]);
  });

  it("of a repair that cannot be had is said, and the rest stays", async () => {
    const scene = await pulled();
    const { digest } = scenes.published.model;
    rmSync(scene.paths.blob(digest));
    scene.proxy.fault = () => ({ answer: { status: 404, body: "gone" } });
    const { code, stdout, stderr } = await scene.mull(["verify", "--repair"]);
    expect(code).toBe(1);
    expect(stdout).toContain(`missing: ${shortDigest(digest)} (${scene.name}:latest)\n`);
    expect(stdout).toContain(`Not repaired: ${scene.name}:latest\n`);
    expect(stderr).toContain(`its model ${shortDigest(digest)} is not to be had where its name says`);
    await scene.expectRecovery([`missing: ${shortDigest(digest)} (${scene.name}:latest)`]);
  });

  describe.concurrent("a manifest that is", () => {
    it.each<[string, (path: string) => void, RegExp]>([
      ["empty", (path) => truncateSync(path, 0), /it is empty/],
      ["cut off", (path) => truncateSync(path, 100), /it is no JSON/],
      ["zeroed", (path) => overwrite(path, 0, Buffer.alloc(statSync(path).size)), /it is no JSON/],
    ])(
      "%s is named by list, run and verify, spares all blobs, and is replaced by pull",
      async (_, damage, why) => {
        const scene = await pulled();
        const path = scene.paths.manifest(nameOf(scene.name));
        damage(path);
        const listed = await scene.mull(["list"]);
        expect(listed.code).toBe(1);
        expect(listed.stderr).toMatch(why);
        expect(listed.stderr).toContain(`Damaged: ${scene.name}:latest: `);
        const asked = await ask(scene.name, scene.env);
        expect(asked).toMatchObject({ code: 1, stdout: "" });
        expect(asked.stderr).toMatch(why);
        const verified = await scene.mull(["verify", "--no-repair"]);
        expect(verified.code).toBe(1);
        expect(verified.stdout).toMatch(/^unreadable: /);
        expect(verified.stdout).toMatch(why);
        expect(verified.stdout).toContain(`To repair ${scene.name}:latest: mull verify --repair`);
        await succeed(scene.mull(["prune"]));
        const kept = await scene.keptRanges();
        await succeed(scene.pull());
        expect(kept.length).toBe(4);
        scene.expectNotFetched(kept);
        await scene.expectRecovery();
      },
    );
  });
});

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}
