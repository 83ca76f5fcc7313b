import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { testPicture } from "../../bench/test-picture.ts";
import { mull } from "../support/command.ts";
import { bomb, headerOnly } from "../support/hostile-pictures.ts";
import { temporaryFolder, tinyPair } from "../support/tiny-models.ts";

/** Every line of bad input that a person can cause: a clear message and the right exit code, through the command. */
const folder = temporaryFolder();
const at = (name: string): string => join(folder.path, name);
let files: { model: string; projector: string };

beforeAll(async () => {
  files = await tinyPair(folder.path);
  const png = testPicture(64, 48, 1);
  const jpeg = await sharp(png).jpeg().toBuffer();
  await mkdir(at("folder.png"));
  await writeFile(at("good.png"), png);
  await writeFile(at("empty.png"), "");
  await writeFile(at("text.png"), "This is not a picture.\n");
  await writeFile(at("half.png"), png.subarray(0, png.length >> 1));
  await writeFile(at("half.jpg"), jpeg.subarray(0, jpeg.length >> 1));
  await writeFile(at("one.png"), testPicture(1, 1, 1));
  await writeFile(at("huge.png"), headerOnly(30_000, 30_000));
  await writeFile(at("bomb.png"), bomb(12_000, 12_000));
});

describe("a bad picture", () => {
  it.each([
    ["missing.png", /missing\.png/],
    ["folder.png", /director|folder/i],
    ["empty.png", /empty/i],
    ["text.png", /text/i],
    ["half.png", /half\.png/],
    ["half.jpg", /half\.jpg/],
    ["huge.png", /30000|pixels/],
    ["bomb.png", /12000|pixels|memory/],
  ])("%s is refused with exit code 4 and its name", async (name, message) => {
    const { code, stdout, stderr } = await mull(["run", "pico", "What is this?", "-f", at(name)]);
    expect(stderr).toMatch(message);
    expect(stderr).toContain(name);
    expect(stdout).toBe("");
    expect(code).toBe(4);
  });

  it("of one pixel is answered", async () => {
    const { code, stdout } = await mull(["run", "pico", "What is this?", at("one.png")]);
    expect(stdout.trim()).not.toBe("");
    expect(code).toBe(0);
  });

  it("that does not exist stops the send, when it is only written in the prompt", async () => {
    const { code, stderr, stdout } = await mull(["run", "pico", "what is in ./nowhere.png ?"], {
      cwd: folder.path,
    });
    expect(stderr).toContain("nowhere.png");
    expect(stdout).toBe("");
    expect(code).toBe(4);
  });
});

describe("a bad model file", () => {
  const damage: [string, (whole: Buffer) => Uint8Array, RegExp][] = [
    ["truncated", (whole) => whole.subarray(0, whole.length - 5000), /ends|past|bytes|short|trunc/i],
    ["of a wrong magic", (whole) => Buffer.concat([Buffer.from("GGML"), whole.subarray(4)]), /GGUF/],
    [
      "with hostile counts",
      (whole) => {
        const copy = Buffer.from(whole);
        copy.writeBigUInt64LE(2n ** 63n, 8);
        return copy;
      },
      /tensor/i,
    ],
    ["that is a picture", () => testPicture(8, 8, 1), /PNG/i],
  ];
  it.each(damage)("%s is refused with exit code 1", async (name, change, message) => {
    const path = at(`damaged ${name}.gguf`);
    await writeFile(path, change(await readFile(files.model)));
    const { code, stderr } = await mull(["run", "--model-file", path, "hello"]);
    expect(stderr).toMatch(message);
    expect(stderr).toContain(path);
    expect(code).toBe(1);
  });

  it("whose tensors lie past its end is refused", async () => {
    const whole = await readFile(files.model);
    // The offset of a tensor is the last field of its entry; the next entry's name length follows.
    const name = Buffer.from("blk.1.ffn_down.weight");
    const entry = whole.indexOf(name) + name.length;
    const dimensions = whole.readUInt32LE(entry);
    whole.writeBigUInt64LE(1n << 40n, entry + 4 + 8 * dimensions + 4);
    await writeFile(at("offsets.gguf"), whole);
    const { code, stderr } = await mull(["run", "--model-file", at("offsets.gguf"), "hello"]);
    expect(stderr).toMatch(/offset|lies|starts|bytes/);
    expect(code).toBe(1);
  });

  it("of another width as projector is refused with both widths", async () => {
    const other = await tinyPair(folder.path, { projector: { textEmbedding: 96 } });
    const args = ["run", "--model-file", files.model, "--projector", other.projector, "hello"];
    const { code, stderr } = await mull(args);
    expect(stderr).toMatch(/96[^]*64/);
    expect(code).toBe(1);
  });

  it("without a projector does not drop the picture", async () => {
    const { code, stderr } = await mull(["run", "--model-file", files.model, "what?", "-f", at("good.png")]);
    expect(stderr).toMatch(/picture/);
    expect(code).toBe(4);
  });

  it("is named when it is not known, with near names", async () => {
    const { code, stderr } = await mull(["run", "picco", "hello"]);
    expect(stderr).toMatch(/pico/);
    expect(code).toBe(3);
  });
});

describe("a bad moment", () => {
  const pair = (): string[] => ["--model-file", files.model, "--projector", files.projector];

  it("prompt longer than the context: exit code 1 and what it needs", async () => {
    const { code, stderr } = await mull(["run", ...pair(), "word ".repeat(600)]);
    expect(stderr).toMatch(/needs \d+ tokens/);
    expect(code).toBe(1);
  });

  it("engine killed in mid-answer: exit code 70", async () => {
    const { code, stderr } = await mull(
      ["run", ...pair(), "hello", "--num-ctx", "4000", "--num-predict", "3900"],
      {
        onStart: (child) => {
          child.stdout?.once("data", () => void killEngineOf(child.pid as number));
        },
      },
    );
    expect(stderr).toMatch(/SIGKILL/);
    expect(code).toBe(70);
  });

  it("no standard input: a prompt is still answered", async () => {
    const { code, stdout } = await mull(["run", ...pair(), "hello", "--num-predict", "4"], { stdin: null });
    expect(stdout.length).toBeGreaterThan(0);
    expect(code).toBe(0);
  });

  it("standard output closed early: a quiet end", async () => {
    const { code, stderr } = await mull(
      ["run", ...pair(), "hello", "--num-ctx", "2000", "--num-predict", "1500"],
      {
        onStart: (child) => child.stdout?.once("data", () => child.stdout?.destroy()),
      },
    );
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  it("a question of nothing: exit code 2", async () => {
    const { code } = await mull(["run", ...pair()]);
    expect(code).toBe(2);
  });
});

/** Finds the engine among the children of a command (Linux) and ends it as the kernel would. */
async function killEngineOf(pid: number): Promise<void> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ");
  for (const child of children) {
    const line = await readFile(`/proc/${child}/cmdline`, "utf8");
    if (line.includes("engine")) process.kill(Number(child), "SIGKILL");
  }
}
