import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { writeRandomTextModel } from "../../bench/random-model.ts";
import { layersOf } from "../../src/store/manifest.ts";
import { type CommandResult, mull } from "../support/command.ts";
import { type DockerRegistry, hasDockerRegistry, startDockerRegistry } from "../support/docker-registry.ts";
import { loopbackServer } from "../support/loopback-server.ts";
import { succeed } from "../support/published-model.ts";
import { newStoreHome, type StoreHome } from "../support/store-home.ts";
import { findProblems, nameOf } from "../support/store-models.ts";
import { temporaryFolder } from "../support/tiny-models.ts";

const folder = temporaryFolder();
const smile = fileURLToPath(new URL("../../examples/smile.png", import.meta.url));
let home: StoreHome;

beforeEach(() => {
  home = newStoreHome(folder.path);
});

/** The built command, as the user whose home this is. An empty variable is none. */
const run = (args: readonly string[], env: Record<string, string> = {}, stdin = ""): Promise<CommandResult> =>
  mull(args, { env: { ...home.env, ...env }, stdin });

async function create(name: string, modelfile: string): Promise<void> {
  await succeed(run(["create", name, "-f", "-"], {}, modelfile));
}

describe.skipIf(!hasDockerRegistry)("with a registry", () => {
  let registry: DockerRegistry;
  let name = "";
  beforeAll(async () => {
    registry = await startDockerRegistry();
    name = `${registry.host}/team/eye:v1`;
    home = newStoreHome(folder.path);
    await create(name, "FROM pico\nSYSTEM Be brief.\nPARAMETER temperature 0");
    await succeed(run(["push", name]));
  });
  afterAll(async () => registry[Symbol.asyncDispose]());

  it("pulls a model, step by step, and once more without fetching anything", async () => {
    const { code, stdout, stderr } = await run(["pull", name]);
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr.split("\n")).toEqual([
      "pulling manifest",
      ...Array.from({ length: 5 }, () => expect.stringMatching(/^pulling [0-9a-f]{12} \(.* k?M?B\)$/)),
      "verifying sha256 digest",
      "writing manifest",
      "success",
      "",
    ]);
    expect((await run(["list", registry.host])).stdout).toMatch(
      new RegExp(`^NAME.*\n${name} +[0-9a-f]{12} `),
    );
    expect((await run(["pull", name])).code).toBe(0);
    expect(await findProblems(home.store)).toEqual([]);
  });

  it("downloads what is to be run and is not there", async () => {
    const question = ["run", name, "What colour is it?", smile];
    const first = await run(question, { MULL_OFFLINE: "" });
    expect(first).toMatchObject({ code: 0, stdout: expect.stringMatching(/yellow/) });
    expect(first.stderr).toContain("pulling manifest");
    const second = await run(question, { MULL_OFFLINE: "" });
    expect(second).toMatchObject({ code: 0, stdout: first.stdout });
    expect(second.stderr).not.toContain("pulling");
  });

  it("does not with MULL_OFFLINE=1", async () => {
    const { code, stderr } = await run(["run", name, "What colour is it?"]);
    expect(code).toBe(3);
    expect(stderr).toContain(`There is no model called "${name}".\nTo download it: mull pull ${name}`);
    expect(stderr).not.toContain("pulling");
  });

  it("says both when that fails: not here, and why it could not be downloaded", async () => {
    const missing = `${registry.host}/team/nothing`;
    const { code, stderr, stdout } = await run(["run", missing, "hello"], { MULL_OFFLINE: "" });
    expect([code, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(
      new RegExp(`Error: "${missing}" is not on this machine, and could not be downloaded: .*nothing`),
    );
    const nobody = await run(["run", "127.0.0.1:1/team/eye", "hello"], { MULL_OFFLINE: "" });
    expect(nobody.code).toBe(5);
    expect(nobody.stderr).toMatch(/is not on this machine, and could not be downloaded: .*127\.0\.0\.1:1/);
    const json = await run(["run", missing, "hello", "--json"], { MULL_OFFLINE: "" });
    expect(JSON.parse(json.stdout)).toMatchObject({ type: "error", error: { code: "model_not_found" } });
  });

  it("creates from a model that is not there yet", async () => {
    await create("mine", `FROM ${name}\nSYSTEM Ramble.`);
    expect((await run(["show", "mine", "--system"])).stdout).toBe("Ramble.\n");
    expect((await run(["show", name, "--system"])).stdout).toBe("Be brief.\n");
  });

  it("repairs what is damaged or missing, and nothing else", async () => {
    await run(["pull", name]);
    await create("mine", `FROM ${name}\nSYSTEM Mine alone.`);
    const mine = await home.store.find(nameOf("mine"));
    const { manifest } = (await home.store.find(nameOf(name)))!;
    const [weights] = layersOf(manifest, "model");
    const path = home.store.paths.blob(weights!.digest);
    const bytes = readFileSync(path);
    bytes[bytes.length - 5]! ^= 1;
    rmSync(path);
    writeFileSync(path, bytes);
    rmSync(home.store.paths.blob(manifest.config.digest));
    writeFileSync(home.store.paths.manifest(nameOf(name)), "<html>");

    const told = await run(["verify", "--no-repair"]);
    expect(told.code).toBe(1);
    expect(told.stdout).toMatch(/^unreadable: [^]*damaged: [^]*To repair .*: mull verify --repair\n$/);
    const { code, stdout } = await run(["verify", "--repair"]);
    expect(stdout).toContain(`${name} is whole again.\n`);
    expect(stdout).toContain("mine:latest is whole again.\n");
    expect(code).toBe(0);
    expect(await home.store.find(nameOf("mine"))).toEqual(mine);
    expect((await run(["verify"])).code).toBe(0);
  });

  it("makes a lost config again, and says what nobody has any more", async () => {
    const own = `${registry.host}/team/own`;
    await create(own, "FROM pico\nSYSTEM Mine alone.");
    const { manifest } = (await home.store.find(nameOf(own)))!;
    rmSync(home.store.paths.blob(manifest.config.digest));
    expect(await run(["verify", "--repair"])).toMatchObject({ code: 0 });
    rmSync(home.store.paths.blob(layersOf(manifest, "system")[0]!.digest));
    const lost = await run(["verify", "--repair"]);
    expect(lost).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/Not repaired: .*\/team\/own:latest\n$/),
    });
    expect(lost.stderr).toMatch(
      /its system [0-9a-f]{12} is not to be had where its name says\.\n.*mull create/,
    );
    expect((await home.store.find(nameOf(own)))?.manifest).toEqual(manifest);
  });

  it("does not take a stranger's model for one that was made here under the same name", async () => {
    await create("other", "FROM pico\nSYSTEM Somebody else's.");
    await run(["cp", "other", name]);
    const { manifest } = (await home.store.find(nameOf(name)))!;
    rmSync(home.store.paths.blob(layersOf(manifest, "system")[0]!.digest));
    expect((await run(["verify", "--repair"])).code).toBe(1);
    expect((await home.store.find(nameOf(name)))?.manifest).toEqual(manifest);
  });

  it("goes on with a pull that was interrupted, and says how", async () => {
    const big = `${registry.host}/team/big:v1`;
    const model = join(folder.path, "big.gguf");
    await writeRandomTextModel(model, { blocks: 12, embedding: 512, feedForward: 2048, heads: 8 });
    await create(big, `FROM ${model}`);
    await run(["push", big]);
    await run(["rm", big]);
    const result = await mull(["pull", big], {
      env: home.env,
      onStart: (child) => {
        child.stderr?.on("data", (text: string) => {
          if (/pulling [0-9a-f]{12}/.test(text)) child.kill("SIGINT");
        });
      },
    });
    // On a fast machine it may have been over.
    const ending = result.code === 0 ? "success\n" : `Interrupted. To go on from here: mull pull ${big}\n`;
    expect([0, 130]).toContain(result.code);
    expect(result.stderr).toContain(ending);
    expect((await run(["pull", big])).code).toBe(0);
    expect(await findProblems(home.store)).toEqual([]);
  });

  it.each([
    [["push", "nothing/here"], 3, /There is no model called "nothing\/here:latest"/],
    [["push", "hf.co/org/repo"], 2, /is no name of a model in a registry\.\n.*mull cp/],
    [
      ["pull", "./x.gguf"],
      2,
      /there is nothing to download\.\nTake it into the store with: mull import \.\/x\.gguf/,
    ],
    [["pull", `sha256:${"0".repeat(64)}`], 2, /does not say where the model is/],
    [["pull", "what is this?"], 2, /not the name of a model/],
    [["pull"], 2, /missing required argument/],
  ])("%j is refused", async (args, code, message) => {
    expect(await run(args)).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(message) });
  });
});

describe("a typing error", () => {
  it("is refused before anybody is asked", async () => {
    await using proxy = await loopbackServer({});
    await create("bakllava", "FROM pico");
    const env = { MULL_OFFLINE: "", HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url, NO_PROXY: "" };
    const { code, stderr } = await run(["run", "baklava", "hello"], env);
    expect([code, stderr]).toEqual([3, expect.stringContaining("Did you mean bakllava?")]);
    expect(proxy.requests).toEqual([]);
  });
});
