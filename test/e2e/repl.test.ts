import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { testPicture } from "../../bench/test-picture.ts";
import { temporaryFolder, tinyPair } from "../support/tiny-models.ts";

/** The REPL on a real terminal: tmux types and reads the screen, as a person would. */
const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const hasTmux = spawnSync("tmux", ["-V"]).status === 0;
if (!hasTmux) console.warn("skipped: the REPL on a real terminal (tmux is not installed)");

const folder = temporaryFolder();
/** Each test has a tmux server of its own: an old one may still be leaving when the next is asked for. */
let server = "";
let servers = 0;
const tmux = (...args: string[]): string =>
  execFileSync("tmux", ["-L", server, ...args], { encoding: "utf8" });

function start(...args: string[]): void {
  server = `mull-test-${process.pid}-${servers++}`;
  const command = [process.execPath, main, "run", ...args].map((word) => `'${word}'`).join(" ");
  // The shell stays behind, so that the exit code of the command can be read from the screen.
  const shell = `cd '${folder.path}'; XDG_STATE_HOME='${folder.path}' ${command}; echo "exit code $?"; sleep 60`;
  tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "40", "-s", "repl", shell);
}

const type = (...keys: string[]): string => tmux("send-keys", "-t", "repl", ...keys);
const screen = (): string => tmux("capture-pane", "-t", "repl", "-p", "-S", "-200");

async function see(pattern: RegExp): Promise<string> {
  for (let tries = 0; tries < 300; tries++) {
    const text = screen();
    if (pattern.test(text)) return text;
    await sleep(100);
  }
  throw new Error(`${pattern} did not appear on the screen:\n${screen()}`);
}

beforeAll(() => {
  writeFileSync(join(folder.path, "my picture.png"), testPicture(80, 60, 1));
  writeFileSync(join(folder.path, "broken.png"), "not a picture");
});
afterEach(() => {
  spawnSync("tmux", ["-L", server, "kill-server"]);
});

describe.skipIf(!hasTmux)("the REPL", () => {
  it("answers about a picture, survives a bad one, and leaves with /bye", async () => {
    start("pico", "--num-predict", "12");
    await see(/>>> .*Send a message/);
    type("What is this? './my picture.png'", "Enter");
    const answered = await see(/resized to 128x128[^]*>>> /);
    expect(answered).toContain("Added image './my picture.png'");

    type("And ./broken.png ?", "Enter");
    await see(/broken\.png[^]*text[^]*>>> /);
    type("And ./missing.png ?", "Enter");
    await see(/missing\.png[^]*>>> /);
    type("/nonsense", "Enter");
    await see(/Unknown command '\/nonsense'/);
    type("/show info", "Enter");
    await see(/llama/);
    type("/bye", "Enter");
    expect(await see(/exit code \d/)).toContain("exit code 0");
  });

  it("stops an answer at the first Ctrl-C and leaves at the second", async () => {
    // Random weights talk until the context is full: there is time to interrupt them.
    const { model } = await tinyPair(folder.path);
    start("--model-file", model, "--num-ctx", "8000");
    await see(/>>> .*Send a message/);
    type("Tell me everything.", "Enter");
    await see(/everything\.\n+.{20}/);
    type("C-c");
    await see(/stopped[^]*>>> .*Send a message/);
    type("C-c");
    expect(await see(/exit code \d/)).toContain("exit code 130");
  });

  it("leaves at Ctrl-D", async () => {
    start("pico");
    await see(/>>> /);
    type("C-d");
    expect(await see(/exit code \d/)).toContain("exit code 0");
  });
});
