import { mkdtempSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CliHarness, endless, PNG, RECEIPT, say, settle } from "../../test/support/cli-harness.ts";
import { MullError } from "../spec/errors.ts";
import type { StreamPart } from "../spec/stream.ts";
import { saveModel } from "../store/saved-model.ts";

const folder = mkdtempSync(join(tmpdir(), "mull-cli-"));
const picture = join(folder, "x.png");
const spaced = join(folder, "my photo (1).png");
for (const path of [picture, spaced]) writeFileSync(path, PNG);
mkdirSync(join(folder, "folder.png"));
writeFileSync(join(folder, "text.png"), "I am text.");
writeFileSync(join(folder, "empty.png"), "");

// Relative names are part of what is tested.
const before = process.cwd();
beforeEach(() => process.chdir(folder));
afterEach(() => process.chdir(before));

describe("mull", () => {
  it("prints help with examples first, and its version", async () => {
    for (const args of [[], ["--help"], ["help"], ["run", "--help"], ["inspect", "--help"]]) {
      const cli = new CliHarness();
      expect(await cli.run(...args)).toBe(0);
      expect(cli.out).toMatch(/^Examples:\n {2}mull /);
      expect(cli.err).toBe("");
    }
    const cli = new CliHarness();
    expect(await cli.run("--version")).toBe(0);
    expect(cli.out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("suggests a command that is near", async () => {
    const cli = new CliHarness();
    expect(await cli.run("rnu", "pico")).toBe(2);
    expect(cli.err).toContain("Did you mean run?");
  });

  it("prints the stack of a fault only when asked", async () => {
    const answer = (): never => {
      throw new TypeError("boom");
    };
    const quiet = new CliHarness({ answer });
    expect(await quiet.run("run", "pico", "hi")).toBe(1);
    expect(quiet.err).toBe("Error: boom\n");
    const loud = new CliHarness({ answer, env: { MULL_DEBUG: "1" } });
    await loud.run("run", "pico", "hi");
    expect(loud.err).toContain("run-cli.test.ts");
  });
});

describe("mull run, the model", () => {
  it.each([
    [["pico", "hello there"], "pico", "hello there"],
    [["pico", "hello", "there"], "pico", "hello there"],
    [["What is this?"], "pico", "What is this?"],
    [["Hi!"], "pico", "Hi!"],
    [["x.gguf", "hello"], "x.gguf", "hello"],
    [["./my model.gguf", "hello"], "./my model.gguf", "hello"],
    [["--model-file", "y.gguf", "pico", "is"], "y.gguf", "pico is"],
  ])("%j", async (args, model, text) => {
    const cli = new CliHarness();
    expect(await cli.run("run", ...args)).toBe(0);
    expect(cli.loads[0]?.model).toBe(model);
    expect(cli.lastQuestion.text).toBe(text);
  });

  it("is pico when the first word is a picture", async () => {
    const cli = new CliHarness();
    expect(await cli.run("run", "x.png", "what is it?")).toBe(0);
    expect(cli.loads[0]?.model).toBe("pico");
    expect(cli.lastQuestion).toEqual({ text: "what is it?", pictures: 1 });
  });

  it("is never guessed: an unknown name is an error that says what to do", async () => {
    const env = { XDG_DATA_HOME: mkdtempSync(join(tmpdir(), "mull-data-")) };
    await saveModel("llava", { load: { model: "pico" }, generation: {}, messages: [] }, env);
    const cli = new CliHarness({ env });
    expect(await cli.run("run", "lava", "what is this?")).toBe(3);
    expect(cli.err).toContain('There is no model called "lava"');
    expect(cli.err).toContain("Saved models of a like name: llava");
    const alone = new CliHarness({ env });
    expect(await alone.run("run", "hello")).toBe(3);
    expect(alone.err).toContain('mull run pico "hello"');
    expect(alone.requests).toEqual([]);
  });

  it("can be a saved session, whose settings flags override", async () => {
    const env = { XDG_DATA_HOME: mkdtempSync(join(tmpdir(), "mull-data-")) };
    const messages = [
      { role: "user" as const, content: "My name is Ada." },
      { role: "assistant" as const, content: "Hello Ada." },
    ];
    const load = { model: "pico", contextLength: 300 };
    await saveModel("ada", { load, system: "Be brief.", generation: { topK: 5, minP: 0.1 }, messages }, env);
    const cli = new CliHarness({ env });
    expect(await cli.run("run", "ada", "--top-k", "7", "What is my name?")).toBe(0);
    expect(cli.loads[0]).toMatchObject(load);
    expect(cli.requests[0]).toMatchObject({ topK: 7, minP: 0.1 });
    expect(cli.requests[0]?.messages).toEqual([
      { role: "system", content: "Be brief." },
      ...messages,
      { role: "user", content: "What is my name?" },
    ]);
  });
});

describe("mull run, the question", () => {
  it("puts the answer on stdout and everything else on stderr", async () => {
    const cli = new CliHarness();
    expect(await cli.run("run", "pico", "What's in this image? ./x.png")).toBe(0);
    expect(cli.out).toBe("A yellow smiley face.\n");
    expect(cli.err).toBe("Added image './x.png'\n");
    expect(cli.lastQuestion).toEqual({ text: "What's in this image?", pictures: 1 });
    expect(cli.closed).toBe(1);
  });

  it.each([
    ["-f", ["-f", "x.png", "-f", spaced, "compare"]],
    ["words", ["compare", "./x.png", "./my photo (1).png"]],
    ["one quoted prompt", ['compare ./x.png "./my photo (1).png"']],
    ["escaped blanks", ["compare ./x.png ./my\\ photo\\ \\(1\\).png"]],
  ])("takes several pictures: %s", async (_, args) => {
    const cli = new CliHarness();
    expect(await cli.run("run", "pico", ...args)).toBe(0);
    expect(cli.lastQuestion).toEqual({ text: "compare", pictures: 2 });
  });

  it.each([
    ["a missing path in the prompt", ["what is ./missing.png"], /missing\.png/],
    ["a missing -f", ["-f", "missing.png", "what"], /missing\.png/],
    ["a picture's address", ["what is https://example.com/cat.png"], /on the network/],
    ["a folder", ["-f", "folder.png", "what"], /folder/],
    ["text named .png", ["what is ./text.png"], /text\.png is text/],
    ["an empty file", ["what is ./empty.png"], /empty\.png is empty/],
  ])("is not sent with %s", async (_, args, message) => {
    const cli = new CliHarness();
    expect(await cli.run("run", "pico", ...args)).toBe(4);
    expect(cli.err).toMatch(message);
    expect(cli.out).toBe("");
    expect(cli.requests).toEqual([]);
    await settle();
    expect(cli.closed).toBe(1);
  });

  it("is sent with a name in backticks", async () => {
    const cli = new CliHarness();
    expect(await cli.run("run", "pico", "what is ./missing.png")).toBe(4);
    expect(cli.err).toContain("put it in backticks: `./missing.png`");
    expect(await cli.run("run", "pico", "what is `./missing.png`")).toBe(0);
    expect(cli.lastQuestion).toEqual({ text: "what is `./missing.png`", pictures: 0 });
  });

  it("takes a picture from stdin", async () => {
    const cli = new CliHarness({ stdin: PNG });
    expect(await cli.run("run", "pico", "what is this?")).toBe(0);
    expect(cli.lastQuestion).toEqual({ text: "what is this?", pictures: 1 });
    const dash = new CliHarness({ stdin: PNG });
    expect(await dash.run("run", "-f", "-", "and this?")).toBe(0);
    expect(dash.lastQuestion).toEqual({ text: "and this?", pictures: 1 });
  });

  it("puts text from stdin before the prompt, or takes it as the prompt", async () => {
    const cli = new CliHarness({ stdin: "Some notes.\n" });
    expect(await cli.run("run", "pico", "summarise")).toBe(0);
    expect(cli.lastQuestion.text).toBe("Some notes. summarise");
    const alone = new CliHarness({ stdin: "Hello?\n" });
    expect(await alone.run("run")).toBe(0);
    expect(alone.lastQuestion.text).toBe("Hello?");
  });

  it.each([
    ["nothing at all", "", ["run", "pico"], 2],
    ["blanks", " \n", ["run", "pico", " "], 2],
    ["a PDF", "%PDF-1.7 \u0001", ["run", "pico", "what?"], 4],
    ["text for -f -", "hello", ["run", "pico", "-f", "-"], 2],
  ])("refuses %s on stdin", async (_, stdin, args, exitCode) => {
    const cli = new CliHarness({ stdin });
    expect(await cli.run(...args)).toBe(exitCode);
    expect(cli.requests).toEqual([]);
  });

  it("asks what is in a picture that comes without words, and says so", async () => {
    const cli = new CliHarness();
    expect(await cli.run("run", "x.png")).toBe(0);
    expect(cli.lastQuestion).toEqual({ text: "What's in this image?", pictures: 1 });
    expect(cli.err).toContain('asking "What\'s in this image?"');
  });
});

describe("mull run, options", () => {
  it("passes every option on", async () => {
    const cli = new CliHarness();
    const flags =
      "--temperature 0.7 --top-k 5 --top-p 0.9 --min-p 0.1 --repeat-penalty 1.1 --repeat-last-n -1 --seed 42 " +
      "--frequency-penalty 0.5 --presence-penalty -0.5 --num-predict -1 --num-ctx 300 --threads 3 " +
      "--encoder-precision f16 --compat llama.cpp --template plain --projector p.gguf --stop a --stop b --system sys";
    expect(await cli.run("run", "--model-file", "m.gguf", ...flags.split(" "), "hi")).toBe(0);
    expect(cli.loads[0]).toMatchObject({
      model: "m.gguf",
      projector: "p.gguf",
      contextLength: 300,
      threads: 3,
      encoderPrecision: "f16",
      compat: "llama.cpp",
      template: "plain",
    });
    expect(cli.requests[0]).toMatchObject({
      temperature: 0.7,
      topK: 5,
      topP: 0.9,
      minP: 0.1,
      repeatPenalty: 1.1,
      repeatLastN: -1,
      seed: 42,
      frequencyPenalty: 0.5,
      presencePenalty: -0.5,
      maxTokens: -1,
      stop: ["a", "b"],
    });
    expect(cli.requests[0]?.messages[0]).toEqual({ role: "system", content: "sys" });
  });

  it.each([
    ["--temperature", "hot", "a number"],
    ["--temperature", "-1", "0 or more"],
    ["--top-k", "1.5", "a whole number"],
    ["--top-p", "0", "above 0, at most 1"],
    ["--min-p", "1", "below 1"],
    ["--seed", "0x10", "a whole number"],
    ["--seed", "4294967296", "4294967295"],
    ["--num-ctx", "0", "16 to 4194304"],
    ["--num-predict", "-2", "-1 or more"],
    ["--num-predict", "", "a whole number"],
    ["--temperature", "Infinity", "a number"],
    ["--encoder-precision", "f64", "f32"],
    ["--stop", "", "not empty"],
    ["--colour", "1", "unknown option"],
  ])("refuses %s '%s'", async (flag, value, message) => {
    const cli = new CliHarness();
    expect(await cli.run("run", "pico", flag, value, "hi")).toBe(2);
    expect(cli.err).toContain(message);
    expect(cli.loads).toEqual([]);
  });
});

describe("mull run, the output", () => {
  const withReceipt = (): Iterable<StreamPart> => [{ type: "media", receipt: RECEIPT }, ...say("Yes.")];

  it("is one JSON object per line with --json, errors too", async () => {
    const cli = new CliHarness({ answer: withReceipt });
    expect(await cli.run("run", "pico", "--json", "hi")).toBe(0);
    const types = cli.out
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as StreamPart).type);
    expect(types).toEqual(["media", "text-start", "text-delta", "text-end", "finish"]);
    const failed = new CliHarness();
    expect(await failed.run("run", "pico", "--json", "./missing.png")).toBe(4);
    expect(JSON.parse(failed.out)).toMatchObject({ type: "error", error: { code: "media_not_found" } });
  });

  it("has receipts and times in a log only with --verbose", async () => {
    const quiet = new CliHarness({ answer: withReceipt });
    await quiet.run("run", "pico", "hi");
    expect(quiet.err).toBe("");
    const verbose = new CliHarness({ answer: withReceipt });
    await verbose.run("run", "pico", "--verbose", "hi");
    expect(verbose.err).toContain("resized to 96x96 (bicubic, antialiased) → 36 tokens");
    expect(verbose.err).toContain("prompt eval count:     40 token(s)");
    expect(verbose.err).toContain("eval rate:             100.00 tokens/s");
    expect(verbose.out).toBe("Yes.\n");
  });

  it("names what was not seen of a picture even in a log", async () => {
    const receipt = { ...RECEIPT, steps: [{ action: "first-frame" as const, frame: 0, of: 9 }] };
    const cli = new CliHarness({ answer: () => [{ type: "media", receipt }, ...say("Yes.")] });
    await cli.run("run", "pico", "hi");
    expect(cli.err).toBe("./smile.png: frame 1 of 9 only\n");
  });

  it("has no escape sequences with NO_COLOR, in errors neither", async () => {
    for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
      const cli = new CliHarness({ terminal: true, env });
      expect(await cli.run("run", "lava", "hi")).toBe(3);
      expect(cli.err).toMatch(/^Error: /);
    }
    const coloured = new CliHarness({ terminal: true });
    await coloured.run("run", "lava", "hi");
    expect(coloured.err).toContain("\u001b[31mError:");
  });

  it("ends the open line when the answer breaks off", async () => {
    const answer = function* (): Generator<StreamPart> {
      yield { type: "text-delta", id: "0", delta: "The image" };
      throw new MullError("engine_crashed", "The engine died (SIGKILL).", { hint: "Ask again." });
    };
    const cli = new CliHarness({ answer });
    expect(await cli.run("run", "pico", "hi")).toBe(70);
    expect(cli.out).toBe("The image\n");
    expect(cli.err).toBe("Error: The engine died (SIGKILL).\nAsk again.\n");
  });

  it("keeps what was said when the user stops it, and says nothing more", async () => {
    const cli = new CliHarness({ answer: endless("The image") });
    const running = cli.run("run", "pico", "hi");
    await settle();
    cli.stop.abort();
    expect(await running).toBe(130);
    expect(cli.out).toBe("The image\n");
    expect(cli.err).toBe("");
  });

  it("needs a prompt for --json", async () => {
    const cli = new CliHarness({ terminal: true });
    expect(await cli.run("run", "pico", "--json")).toBe(2);
    expect(cli.loads).toEqual([]);
  });
});

describe("mull inspect", () => {
  it("prints the receipt of every file, and goes on after a bad one", async () => {
    const cli = new CliHarness({ answer: () => say() });
    expect(await cli.run("inspect", "x.png", spaced)).toBe(0);
    expect(cli.out.match(/→ 36 tokens/g)).toHaveLength(2);
    expect(cli.out).toContain(spaced);
    expect(cli.requests).toEqual([]);
    expect(cli.closed).toBe(1);
  });

  it("prints JSON lines", async () => {
    const cli = new CliHarness();
    expect(await cli.run("inspect", "--json", "x.png")).toBe(0);
    expect(JSON.parse(cli.out)).toMatchObject({ type: "media", receipt: { name: "x.png", tokens: 36 } });
  });

  it("looks without a model at --no-model, and goes on after a bad file", async () => {
    const cli = new CliHarness();
    expect(await cli.run("inspect", "--no-model", "text.png", "missing.png", "x.png")).toBe(4);
    expect(cli.loads).toEqual([]);
    expect(cli.err).toMatch(/text\.png is text[\s\S]*missing\.png/);
    expect(cli.out).toContain("x.png  png 1x1");
  });

  it("takes another model", async () => {
    const cli = new CliHarness();
    expect(await cli.run("inspect", "--model-file", "m.gguf", "--projector", "p.gguf", "x.png")).toBe(0);
    expect(cli.loads[0]).toMatchObject({ model: "m.gguf", projector: "p.gguf" });
    expect(await new CliHarness().run("inspect")).toBe(2);
  });
});
