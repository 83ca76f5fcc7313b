import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { putManyModels } from "../../../bench/many-models.ts";
import {
  CliHarness,
  describe as describeMessage,
  endless,
  type HarnessOptions,
  PNG,
  RECEIPT,
  say,
  settle,
  until,
} from "../../../test/support/cli-harness.ts";
import { newStoreRoot } from "../../../test/support/new-store.ts";
import { MullError } from "../../spec/errors.ts";
import type { StreamPart } from "../../spec/stream.ts";

const folder = mkdtempSync(join(tmpdir(), "mull-repl-"));
const picture = join(folder, "x.png");
const spaced = join(folder, "my photo.png");
for (const path of [picture, spaced]) writeFileSync(path, PNG);
writeFileSync(join(folder, "text.png"), "I am text.");

/** A conversation at a terminal. */
class Talk extends CliHarness {
  readonly done: Promise<number>;
  #ended = false;

  constructor(options: HarnessOptions = {}, ...args: string[]) {
    super({ terminal: true, ...options });
    this.done = this.run("run", ...args).finally(() => (this.#ended = true));
  }

  /** Types lines, each when it is asked for, and gives what was said since on stderr, without escape sequences. */
  async enter(...lines: string[]): Promise<string> {
    await until(() => this.#prompts > 0);
    const before = this.err.length;
    for (const line of lines) {
      const prompts = this.#prompts;
      await this.type(line);
      this.stdin.write("\r");
      await until(() => this.#ended || this.#prompts > prompts);
    }
    return stripVTControlCharacters(this.err.slice(before));
  }

  /** Types a line whose answer does not end. */
  async begin(line: string): Promise<void> {
    await until(() => this.#prompts > 0);
    const requests = this.requests.length;
    await this.type(`${line}\r`);
    await until(() => this.requests.length > requests);
    await settle();
  }

  /** Presses a key that brings a new prompt. */
  async press(key: string): Promise<void> {
    const prompts = this.#prompts;
    this.stdin.write(key);
    await until(() => this.#ended || this.#prompts > prompts);
  }

  /** How often something was asked for: every prompt begins with its placeholder. */
  get #prompts(): number {
    return this.out.split(/Send a message|End the message/).length - 1;
  }

  async leave(): Promise<number> {
    this.stdin.write("\u0004");
    return this.done;
  }
}

describe("a conversation", () => {
  it("greets with the prompt, answers, and ends at Ctrl-D", async () => {
    const talk = new Talk();
    await talk.enter("hello");
    expect(stripVTControlCharacters(talk.out)).toContain(">>> Send a message (/? for help)");
    expect(talk.out).toContain("A yellow smiley face.\n");
    expect(await talk.leave()).toBe(0);
    expect(talk.closed).toBe(1);
  });

  it("remembers what was said, pictures included", async () => {
    const talk = new Talk({}, "pico", "--system", "Be kind.");
    await talk.enter(`what is ${picture} and '${spaced}'`, "and its colour?");
    expect(talk.err).toContain(`Added image '${picture}'\n`);
    const [system, first, answer, second] = talk.requests[1]?.messages ?? [];
    expect(system).toEqual({ role: "system", content: "Be kind." });
    expect(describeMessage(first)).toEqual({ text: expect.stringContaining("what is"), pictures: 2 });
    expect(answer).toEqual({ role: "assistant", content: "A yellow smiley face." });
    expect(second).toEqual({ role: "user", content: "and its colour?" });
    await talk.enter("/clear", "who are you?");
    expect(talk.requests[2]?.messages).toHaveLength(2);
    await talk.leave();
  });

  it("keeps a picture whose file goes away", async () => {
    const fleeting = join(folder, "fleeting.png");
    writeFileSync(fleeting, PNG);
    const talk = new Talk();
    await talk.enter(`what is ${fleeting}`);
    rmSync(fleeting);
    await talk.enter("and now?");
    expect(describeMessage(talk.requests[1]?.messages[0]).pictures).toBe(1);
    await talk.leave();
  });

  it("prints the receipt of a picture once, though every turn sends it again", async () => {
    const talk = new Talk();
    talk.answer = ({ messages }) => {
      const pictures = messages.reduce((sum, message) => sum + describeMessage(message).pictures, 0);
      const receipts = Array.from({ length: pictures }, (_, index): StreamPart => {
        return { type: "media", receipt: { ...RECEIPT, name: `picture ${index + 1}` } };
      });
      return [...receipts, ...say("Yes.")];
    };
    expect(await talk.enter(`what is ${picture}`)).toContain("picture 1");
    expect(await talk.enter(`and ${picture}`)).toMatch(/^(?![\s\S]*picture 1)[\s\S]*picture 2/);
    await talk.leave();
  });

  it("takes the pictures of the command line with the first message", async () => {
    const talk = new Talk({}, "pico", "-f", picture);
    await talk.enter("what is it?", "more?");
    expect(talk.err).toContain("Added image");
    expect(describeMessage(talk.requests[0]?.messages[0]).pictures).toBe(1);
    expect(describeMessage(talk.requests[1]?.messages[2]).pictures).toBe(0);
    await talk.leave();
  });

  it("goes on after a path that leads nowhere, and after a bad file, with nothing lost", async () => {
    const talk = new Talk();
    await talk.enter("hello");
    expect(await talk.enter("what is ./missing.png")).toContain("missing.png");
    expect(await talk.enter(`what is ${folder}/text.png`)).toContain("text.png is text");
    expect(await talk.enter("/nowhere/at/all.png")).toContain("/nowhere/at/all.png");
    expect(talk.requests).toHaveLength(1);
    await talk.enter("still there?");
    expect(talk.requests[1]?.messages).toHaveLength(3);
    expect(await talk.leave()).toBe(0);
  });

  it("offers a line that failed again at the Up key", async () => {
    const talk = new Talk();
    await talk.enter("what is ./missing.png", `\u001b[A\u0017${picture}`);
    expect(talk.lastQuestion).toEqual({ text: "what is", pictures: 1 });
    await talk.leave();
  });

  it("takes a turn back that failed, and the next one works", async () => {
    const talk = new Talk();
    talk.answer = function* (): Generator<StreamPart> {
      yield { type: "text-delta", id: "0", delta: "The" };
      throw new MullError("engine_crashed", "The engine died (SIGKILL).");
    };
    expect(await talk.enter("first")).toContain("The engine died");
    talk.answer = () => say("Fine.");
    await talk.enter("second");
    expect(talk.requests[1]?.messages).toEqual([{ role: "user", content: "second" }]);
    await talk.leave();
  });

  it("leads lines in quotes and pasted lines together", async () => {
    const talk = new Talk();
    await talk.enter('"""first', "/bye", 'last"""');
    expect(talk.lastQuestion.text).toBe("first\n/bye\nlast");
    expect(stripVTControlCharacters(talk.out)).toContain("... last");
    await talk.enter("\u001b[200~one\ntwo\u001b[201~");
    expect(talk.lastQuestion.text).toBe("one\ntwo");
    await talk.enter('"""forget');
    await talk.press("this\u0003");
    await talk.enter("after");
    expect(talk.lastQuestion.text).toBe("after");
    await talk.leave();
  });
});

describe("Ctrl-C", () => {
  const CTRL_C = "\u0003";

  it("stops the answer, keeps what was said, and leaves at the second", async () => {
    const talk = new Talk({ answer: endless("The image") });
    await talk.begin("what is it?");
    await talk.press(CTRL_C);
    expect(talk.out).toContain("The image\n");
    talk.answer = () => say("Well.");
    await talk.enter("go on");
    expect(talk.requests[1]?.messages).toHaveLength(3);
    talk.answer = endless("Again");
    await talk.begin("more");
    await talk.press(CTRL_C);
    talk.stdin.write(CTRL_C);
    expect(await talk.done).toBe(130);
  });

  it("leaves no trace of a turn that was stopped before its first word", async () => {
    const talk = new Talk({ answer: endless() });
    await talk.begin("what is it?");
    await talk.press(CTRL_C);
    talk.answer = () => say("Yes.");
    await talk.enter("hello");
    expect(talk.requests[1]?.messages).toEqual([{ role: "user", content: "hello" }]);
    await talk.leave();
  });

  it("does not wait for a model that does not stop", async () => {
    const talk = new Talk({
      answer: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
    });
    await talk.begin("what is it?");
    talk.stdin.write(CTRL_C);
    await settle();
    talk.stdin.write(CTRL_C);
    expect(await talk.done).toBe(130);
  });

  it("at the empty prompt says how to leave, then leaves", async () => {
    const talk = new Talk();
    await talk.enter("hello");
    await talk.press(`half a line${CTRL_C}`);
    expect(talk.err).not.toContain("leave");
    await talk.press(CTRL_C);
    expect(talk.err).toContain("Press Ctrl-c again, Ctrl-d or type /bye to leave.");
    await talk.enter("hello");
    await talk.press(CTRL_C);
    await talk.press(CTRL_C);
    expect(await talk.done).toBe(130);
  });

  it("from outside ends the conversation", async () => {
    const talk = new Talk({ answer: endless("x") });
    await talk.begin("hello");
    talk.stop.abort();
    expect(await talk.done).toBe(130);
  });
});

describe("slash commands", () => {
  it.each(["/bye", "/exit", "  /bye  "])("%s leaves", async (command) => {
    const talk = new Talk();
    await talk.enter(command);
    expect(await talk.done).toBe(0);
  });

  it.each([
    ["/?", "/set            Change"],
    ["/help", "Name pictures anywhere"],
    ["/? shortcuts", "Ctrl-w"],
    ["/help set", "/set parameter <name>"],
    ["/? /show", "/show modelfile"],
    ["/set", "/set system <text>"],
    ["/show", "/show info"],
    ["/set parameter", "num_ctx"],
    ["/set parameter top_k", "/set parameter top_k <value>"],
    ["/set parameter heat 5", "Unknown parameter 'heat'"],
    ["/set parameter top_k many", "top_k must be a whole number"],
    ["/set parameter top_k 1 2", "takes one value"],
    ["/set parameter num_gpu 1", "num_gpu cannot be set"],
    ["/set system", "/set system <text>"],
    ["/set format json", "plain text only"],
    ["/set noformat", "already"],
    ["/set think high", "thinks aloud"],
    ["/set nothink", "already"],
    ["/set volume 11", "Unknown command '/set volume'"],
    ["/show info", "context length      512"],
    ["/show license", "MIT"],
    ["/show modelfile", "FROM /models/pico.gguf\nFROM /models/pico-mmproj.gguf\nTEMPLATE"],
    ["/show parameters", "No parameters were set"],
    ["/show system", "There is no system message"],
    ["/show template", "{{ messages }}"],
    ["/show weather", "Unknown command '/show weather'"],
    ["/load", "/load <model>"],
    ["/load lava", 'There is no model called "lava"'],
    ["/load two words", "no model's name"],
    ["/save", "/save <name>"],
    ["/save ../x", "cannot be saved as"],
    ["/save pico", "cannot be saved as 'pico'"],
    ["/list", "pico"],
    ["/x", "Unknown command '/x'. Type /? for help"],
    ["/tmpx", "Unknown command '/tmpx'"],
  ])("%s", async (command, text) => {
    const talk = new Talk();
    expect(await talk.enter(command)).toContain(text);
    expect(talk.requests).toEqual([]);
    await talk.enter("hello");
    expect(talk.requests).toHaveLength(1);
    expect(await talk.leave()).toBe(0);
  });

  it("a line that begins with a path is a message", async () => {
    const talk = new Talk();
    await talk.enter(`${picture} what is this?`);
    expect(talk.lastQuestion).toEqual({ text: "what is this?", pictures: 1 });
    await talk.leave();
  });

  it("/set changes the next answer", async () => {
    const talk = new Talk();
    await talk.enter(
      "/set parameter top_k 5",
      "/set parameter stop END '###'",
      '/set system """Be',
      'kind."""',
      "hello",
    );
    expect(talk.requests[0]).toMatchObject({ topK: 5, stop: ["END", "###"] });
    expect(talk.requests[0]?.messages[0]).toEqual({ role: "system", content: "Be\nkind." });
    expect(await talk.enter("/show parameters")).toContain("top_k               5");
    expect(await talk.enter("/show info")).toContain("Be␊kind.");
    await talk.leave();
  });

  it("/set parameter num_ctx loads the model again, at the next message", async () => {
    const talk = new Talk();
    await talk.enter("hello", "/set parameter num_ctx 300");
    expect([talk.loads.length, talk.closed]).toEqual([1, 1]);
    await talk.enter("and?");
    expect(talk.loads[1]).toMatchObject({ model: "pico", contextLength: 300 });
    expect(talk.requests[1]?.messages).toHaveLength(3);
    await talk.leave();
  });

  it("/set parameter num_ctx goes back when the model cannot be loaded with it", async () => {
    const talk = new Talk({ refuseContext: 4096 });
    await talk.enter("hello", "/set parameter num_ctx 4096");
    expect(await talk.enter("and?")).toContain("no memory\nThe setting from before is in force again.");
    await talk.enter("and now?");
    expect(talk.loads.map(({ contextLength }) => contextLength)).toEqual([undefined, 4096, undefined]);
    expect(talk.requests[1]?.messages).toHaveLength(3);
    await talk.leave();
  });

  it("/set verbose and quiet switch the times", async () => {
    const talk = new Talk();
    expect(await talk.enter("/set verbose", "hello")).toContain("eval rate");
    expect(await talk.enter("/set quiet", "hello")).not.toContain("eval rate");
    await talk.leave();
  });

  it("/set nowordwrap leaves long lines alone", async () => {
    const long = "word ".repeat(30).trim();
    const talk = new Talk({ answer: () => say(long) });
    await talk.enter("/set nowordwrap", "hello");
    expect(talk.out).toContain(long);
    await talk.enter("/set wordwrap", "hello");
    expect(talk.out.split(long)).toHaveLength(2);
    await talk.leave();
  });

  it("/set nohistory stops recording", async () => {
    const state = mkdtempSync(join(tmpdir(), "mull-state-"));
    const talk = new Talk({ env: { XDG_STATE_HOME: state } });
    await talk.enter("kept", "/set nohistory", "secret", "/set history", "kept too");
    expect(readFileSync(join(state, "mull", "history"), "utf8")).toBe("kept\n/set nohistory\nkept too\n");
    await talk.leave();
  });

  it("/save, mull run NAME and /load carry a session on, pictures included", async () => {
    const env = { XDG_DATA_HOME: mkdtempSync(join(tmpdir(), "mull-data-")) };
    const talk = new Talk({ env });
    await talk.enter("/set parameter temperature 0.5", "/set system Be kind.", `what is ${picture}`);
    expect(await talk.enter("/save mine")).toContain("Created new model 'mine'");
    await talk.leave();

    const again = new Talk({ env }, "mine");
    await again.enter("and now?");
    expect(again.requests[0]).toMatchObject({ temperature: 0.5 });
    const messages = again.requests[0]?.messages ?? [];
    expect(messages).toHaveLength(4);
    expect(messages[1]?.content[0]).toMatchObject({ type: "image", image: picture });
    await again.enter("/load pico", "hello");
    expect(again.requests[1]?.messages).toHaveLength(1);
    expect(again.closed).toBe(1);
    expect(await again.enter("/load mine")).toContain("with 1 earlier turn(s)");
    expect(await again.enter("/list")).toContain("mine");
    await again.leave();
  });
});

describe("a model of the store", () => {
  const defaults = {
    system: "Be brief.",
    generation: { temperature: 0.25, stop: ["x y"] },
    messages: [{ role: "user" as const, content: "Hi" }],
  };

  it("is shown with what is set for it, until the session sets something else", async () => {
    const talk = new Talk({ info: { defaults } });
    expect(await talk.enter("/show system")).toContain("Be brief.\n");
    const parameters = await talk.enter("/show parameters");
    expect(parameters).toMatch(/temperature +0\.25\n/);
    expect(parameters).toMatch(/stop +"x y"\n/);
    await talk.enter("/set parameter temperature 1", "/set system Ramble.");
    expect(await talk.enter("/show info")).toMatch(/temperature +1\n[^]*Ramble\./);
    const modelfile = await talk.enter("/show modelfile");
    expect(modelfile).toContain('SYSTEM """Ramble."""');
    expect(modelfile).toContain("PARAMETER temperature 1\n");
    expect(modelfile).toContain('PARAMETER stop "x y"');
    expect(modelfile).toContain('MESSAGE user """Hi"""');
    await talk.leave();
  });

  it("adds its settings itself: the session sends its own only", async () => {
    const talk = new Talk({ info: { defaults } });
    await talk.enter("hello");
    expect(talk.requests[0]?.messages).toEqual([{ role: "user", content: "hello" }]);
    expect(talk.requests[0]).not.toHaveProperty("temperature");
    await talk.leave();
  });

  it("is listed, loaded, and not hidden by a saved session", async () => {
    const root = newStoreRoot();
    putManyModels(root, 2);
    const data = mkdtempSync(join(tmpdir(), "mull-data-"));
    const env = { MULL_MODELS: root, XDG_DATA_HOME: data };
    const talk = new Talk({ env, models: ["model-0:7b"] });
    expect(await talk.enter("/list")).toMatch(/pico\n(model-0:(7b|latest)\n){2}/);
    expect(await talk.enter("/load model-0:7b")).toContain("Loaded 'model-0:7b'.");
    expect(talk.loads.at(-1)?.model).toBe("model-0:7b");
    expect(await talk.enter("/load model-1")).toContain('There is no model called "model-1"');
    expect(await talk.enter("/save MODEL-0")).toContain("There is a model called 'MODEL-0' in the store.");
    expect(await talk.enter("/save other")).toContain("Created new model 'other'");
    await talk.leave();
  });
});

describe("a terminal without a cursor", () => {
  it("has the same conversation, in plain lines", async () => {
    const talk = new Talk({ env: { TERM: "dumb" } });
    await until(() => talk.out === ">>> ");
    await talk.type("hello\n");
    await until(() => talk.out.endsWith("face.\n>>> "));
    await talk.type("/bye\n");
    expect(await talk.done).toBe(0);
    expect(talk.out).toContain(">>> ");
    expect(talk.out).toContain("A yellow smiley face.\n");
    expect(talk.err + talk.out).not.toContain("\u001b");
  });
});
