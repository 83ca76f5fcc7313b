import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { writeRandomTextModel } from "../../bench/random-model.ts";
import { isAlive } from "../../test/support/is-alive.ts";
import { temporaryFolder } from "../../test/support/tiny-models.ts";
import { quantizeModel } from "./quantize-model.ts";

const folder = temporaryFolder();
const input = (): string => join(folder.path, "input.gguf");
const built = pathToFileURL(join(import.meta.dirname, "../../dist/engine/quantize-model.js")).href;

beforeAll(async () => {
  // Large enough that there is time to do something while it is quantised.
  await writeRandomTextModel(input(), { embedding: 1024, feedForward: 4096, blocks: 3, type: "f16" });
});

async function emptyFolder(name: string): Promise<string> {
  const path = join(folder.path, name);
  await mkdir(path);
  return path;
}

/** Processes that run the quantiser, of this process or of another one. */
function quantizers(parent: number): number[] {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim().split(" ");
  return children
    .filter((pid) => pid !== "" && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("quantize-child"))
    .map(Number);
}

describe.skipIf(process.platform !== "linux")("a quantisation that ends early leaves nothing", () => {
  it("when it is cancelled", async () => {
    const into = await emptyFolder("cancelled");
    const controller = new AbortController();
    const options = { input: input(), output: join(into, "out.gguf"), type: "q4_K_M", threads: 1 };
    const during: string[][] = [];
    const work = quantizeModel({
      ...options,
      signal: controller.signal,
      onProgress: (completed) => {
        if (completed === 0 || controller.signal.aborted) return;
        controller.abort();
        during.push(readdirSync(into));
      },
    });
    await expect(work).rejects.toMatchObject({ name: "AbortError" });
    expect(during[0]).toHaveLength(1);
    expect(await readdir(into)).toEqual([]);
    expect(quantizers(process.pid)).toEqual([]);
    await expect(quantizeModel({ ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: "AbortError",
    });
  });

  it("when its process is killed, which is told with its last words", async () => {
    const into = await emptyFolder("killed");
    let killed = false;
    const work = quantizeModel({
      input: input(),
      output: join(into, "out.gguf"),
      type: "q4_K_M",
      threads: 1,
      onProgress: (completed) => {
        if (completed === 0 || killed) return;
        killed = true;
        for (const pid of quantizers(process.pid)) process.kill(pid, "SIGKILL");
      },
    });
    await expect(work).rejects.toMatchObject({
      code: "engine_crashed",
      message: expect.stringMatching(/was ended by SIGKILL/),
      details: {
        signal: "SIGKILL",
        lastLines: expect.arrayContaining([expect.stringMatching(/ 1\/ *30\]/)]),
      },
    });
    expect(await readdir(into)).toEqual([]);
  });

  it("when the program that asked for it is killed", async () => {
    const into = await emptyFolder("orphaned");
    const script = `
      const { quantizeModel } = await import(${JSON.stringify(built)});
      await quantizeModel({
        input: ${JSON.stringify(input())}, output: ${JSON.stringify(join(into, "out.gguf"))}, type: "q4_K_M", threads: 1,
        onProgress: (completed) => completed > 0 && console.log("working"),
      });`;
    const host = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(host.stdout, "data");
    const [child] = quantizers(host.pid as number);
    host.kill("SIGKILL");
    for (let tries = 0; tries < 200 && isAlive(child as number); tries++) await sleep(25);
    expect(isAlive(child as number)).toBe(false);
    expect(await readdir(into)).toEqual([]);
  });
});

const CAN_MOUNT = spawnSync("unshare", ["-rm", "true"]).status === 0;

describe.skipIf(!CAN_MOUNT)("a full disk", () => {
  it.each([
    ["is seen before anything is written", "1m", /takes at least \d+ bytes, but only \d+ are free/],
    ["is told as such in the middle", "5632k", /could not be written: the disk is full/],
  ])("%s", async (name, size, message) => {
    const model = join(folder.path, `wide-${size}.gguf`);
    // Its output matrix gets more bits than what is certain beforehand.
    await writeRandomTextModel(model, {
      embedding: 256,
      feedForward: 512,
      blocks: 1,
      vocabulary: 16_384,
      type: "f16",
    });
    const disk = await emptyFolder(name);
    const script = `
      import { readdirSync } from "node:fs";
      const { quantizeModel } = await import(${JSON.stringify(built)});
      const failure = await quantizeModel({
        input: ${JSON.stringify(model)}, output: ${JSON.stringify(join(disk, "out.gguf"))}, type: "q4_0",
      }).then(() => undefined, (error) => error);
      console.log(JSON.stringify({ code: failure?.code, message: failure?.message, left: readdirSync(${JSON.stringify(disk)}) }));`;
    const { stdout, stderr } = spawnSync(
      "unshare",
      [
        "-rm",
        "sh",
        "-c",
        `mount -t tmpfs -o size=${size} tmpfs "$1" && exec "$2" --input-type=module -e "$3"`,
        "sh",
        disk,
        process.execPath,
        script,
      ],
      { encoding: "utf8" },
    );
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({
      code: "insufficient_storage",
      message: expect.stringMatching(message),
      left: [],
    });
  });
});
