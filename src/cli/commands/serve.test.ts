import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { CliHarness, type HarnessOptions, until } from "../../../test/support/cli-harness.ts";

const folder = mkdtempSync(path.join(tmpdir(), "mull-serve-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Served {
  cli: CliHarness;
  url: string;
  /** Tells the command to end. @returns its exit code */
  end: () => Promise<number>;
}

async function serve(flags: readonly string[], options: HarnessOptions = {}): Promise<Served> {
  const cli = new CliHarness(options);
  const exit = cli.run("serve", "--port", "0", ...flags);
  await until(() => /^Serving on http:\S+\n/m.test(cli.err));
  const url = /^Serving on (\S+)$/m.exec(cli.err)![1]!;
  return {
    cli,
    url,
    end: () => {
      cli.stop.abort();
      return exit;
    },
  };
}

describe("mull serve", () => {
  it("says where, answers, logs on stderr, and ends when it is told to", async () => {
    const { cli, url, end } = await serve(["--log-format", "json"]);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const body = JSON.stringify({
      model: "pico",
      messages: [{ role: "user", content: "hi" }],
      stream: false,
    });
    const response = await fetch(`${url}/api/chat`, { method: "POST", body });
    expect(await response.json()).toMatchObject({ message: { content: "A yellow smiley face." } });
    await until(() => cli.err.includes('"/api/chat"'));
    const lines = cli.err.split("\n").filter((line) => line.startsWith("{"));
    expect(lines.map((line) => JSON.parse(line) as object)).toContainEqual(
      expect.objectContaining({ level: "info", route: "/api/chat", status: 200, model: "pico" }),
    );
    expect(cli.out).toBe("");
    expect(await end()).toBe(0);
    expect(cli.closed).toBe(1);
    await expect(fetch(`${url}/health`)).rejects.toBeInstanceOf(Error);
  });

  it("asks for the keys of a file, and of the environment", async () => {
    const file = path.join(folder, "keys");
    writeFileSync(file, "# keys\n\nfirst\n second \n");
    const statuses = async ({ url }: Served): Promise<number[]> => {
      const ask = async (key: string): Promise<number> =>
        (await fetch(`${url}/api/tags`, { headers: { Authorization: `Bearer ${key}` } })).status;
      return Promise.all(["first", "second", "# keys", "third"].map(ask));
    };
    const byFile = await serve(["--api-key-file", file]);
    expect(await statuses(byFile)).toEqual([200, 200, 401, 401]);
    await byFile.end();
    const byEnvironment = await serve(["--log-level", "silent"], { env: { MULL_API_KEY: "third" } });
    expect(await statuses(byEnvironment)).toEqual([401, 401, 401, 200]);
    await byEnvironment.end();
    expect(byEnvironment.cli.err).toBe(`Serving on ${byEnvironment.url}\n`);
  });

  it.each([
    [["--host", "0.0.0.0"], 5, "needs an API key"],
    [["--host", "a b"], 2, "--host is"],
    [["--port", "x"], 2, "--port must be a whole number"],
    [["--port", "99999"], 2, "port must be at most 65535"],
    [["--parallel", "many"], 2, "--parallel must be"],
    [["--keep-alive", "soon"], 2, "--keep-alive is"],
    [["--model", "llava.gguf"], 2, "NAME=FILE"],
    [["--model", `x=${folder}/none.gguf`], 3, "none.gguf"],
    [["--api-key-file", `${folder}/none`], 2, "cannot be read"],
    [["--allow-origin", "chat.example"], 2, "The origin"],
    [["--log-level", "loud"], 2, "loud"],
    [["pico"], 2, "too many arguments"],
  ])("%j is refused before anything listens", async (flags, exitCode, complaint) => {
    const cli = new CliHarness();
    expect(await cli.run("serve", ...flags)).toBe(exitCode);
    expect(cli.err).toContain(complaint);
    expect(cli.err).not.toContain("Serving");
  });

  it("says so when the port is taken", async () => {
    const first = await serve([]);
    const cli = new CliHarness();
    expect(await cli.run("serve", "--port", new URL(first.url).port)).toBe(2);
    expect(cli.err).toContain("is in use already");
    await first.end();
  });
});
