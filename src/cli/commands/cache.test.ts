import { existsSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  keyOf,
  openDiskCache,
  payloadOf,
  removeTemporaryFolders,
  run,
  temporaryFolder,
} from "../../../test/support/cache-entries.ts";
import { CliHarness } from "../../../test/support/cli-harness.ts";
import { entryPath, type EntryKind } from "../../cache/cache-directory.ts";

afterAll(removeTemporaryFolders);

let folder = "";
beforeEach(() => {
  folder = join(temporaryFolder(), "mull");
});

function add(kind: EntryKind, number: number, meta: object, minutesAgo = 0): string {
  run(openDiskCache(folder).put(kind, keyOf(number), payloadOf(number, 4000), JSON.stringify(meta)));
  const path = entryPath(folder, kind, keyOf(number));
  const time = new Date(Date.now() - minutesAgo * 60_000);
  utimesSync(path, time, time);
  return path;
}

function addThree(): string[] {
  const pictures = [{ width: 640, height: 480 }];
  return [
    add("rows", 1, { model: "pico", pictures, tokens: 36 }, 3),
    add("snapshot", 2, { model: "bakllava", pictures: [...pictures, ...pictures], tokens: 1200 }, 60 * 26),
    add("digest", 3, { path: "/models/pico.gguf", size: 5 }, 60 * 24 * 9),
  ];
}

async function mull(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const cli = new CliHarness({ env: { MULL_CACHE_DIR: folder, MULL_CACHE_SIZE: "2GB" } });
  const code = await cli.run("cache", ...args);
  return { code, out: cli.out, err: cli.err };
}

describe("mull cache ls", () => {
  it("lists entries, last used first, with what they are of", async () => {
    addThree();
    const { code, out } = await mull("ls");
    expect(code).toBe(0);
    const key = (number: number): string => keyOf(number).slice(0, 12);
    expect(out).toBe(
      [
        "KIND      KEY              SIZE  LAST USED   OF",
        `rows      ${key(1)}  4.16 kB  3 min ago   pico, 640x480, 36 tokens`,
        `snapshot  ${key(2)}  4.19 kB  26 h ago    bakllava, 640x480, 640x480, 1200 tokens`,
        `digest    ${key(3)}  4.13 kB  9 days ago  pico.gguf`.replace(
          "4.13 kB  9 days ago",
          "4.13 kB  9 days ago",
        ),
        `3 entries, 12.5 kB of at most 2 GB in ${folder}`,
        "",
      ].join("\n"),
    );
  });

  it("says it as JSON", async () => {
    addThree();
    const { out } = await mull("ls", "--json");
    const list = JSON.parse(out) as { entries: Record<string, unknown>[] };
    expect(list).toMatchObject({ directory: folder, limitBytes: 2e9 });
    expect(list.entries[0]).toMatchObject({
      kind: "rows",
      key: keyOf(1),
      meta: { model: "pico", pictures: [{ width: 640, height: 480 }], tokens: 36 },
    });
    for (const name of ["lastUsed", "created"]) {
      expect(new Date(String(list.entries[0]?.[name])).toISOString()).toBe(list.entries[0]?.[name]);
    }
  });

  it("of nothing makes nothing", async () => {
    expect(await mull("ls")).toEqual({
      code: 0,
      out: `0 entries, 0 B of at most 2 GB in ${folder}\n`,
      err: "",
    });
    expect(existsSync(folder)).toBe(false);
  });

  it("lets no facts act on the terminal, and says what is damaged", async () => {
    add("rows", 1, { model: "\u001b[2Jevil\n", pictures: [null, { width: "x" }, 5], tokens: {} });
    const path = add("rows", 2, {});
    writeFileSync(path, "not an entry");
    const { code, out } = await mull("ls");
    expect(code).toBe(0);
    expect(out).toContain("␛[2Jevil␊");
    expect(out).not.toContain("\u001b");
    expect(out).toContain("damaged");
  });
});

describe("mull cache clear", () => {
  it.each<[string[], number[], string]>([
    [[], [], "Removed 3 entries, 12.5 kB.\n"],
    [["--rows"], [1, 2], "Removed 1 entry, 4.16 kB.\n"],
    [["--snapshots"], [0, 2], "Removed 1 entry, 4.19 kB.\n"],
    [["--rows", "--snapshots"], [2], "Removed 2 entries, 8.35 kB.\n"],
    [["--older-than", "7d"], [0, 1], "Removed 1 entry, 4.13 kB.\n"],
    [["--older-than", "1h", "--snapshots"], [0, 2], "Removed 1 entry, 4.19 kB.\n"],
    [["--older-than", "2w"], [0, 1, 2], "Removed 0 entries, 0 B.\n"],
  ])("%j", async (flags, left, message) => {
    const paths = addThree();
    expect(await mull("clear", ...flags)).toEqual({ code: 0, out: message, err: "" });
    expect(paths.flatMap((path, index) => (existsSync(path) ? [index] : []))).toEqual(left);
  });

  it.each(["7", "d", "-1d", "7 days", "1e3d"])("refuses an age of %j", async (age) => {
    const [path = ""] = addThree();
    const { code, err } = await mull("clear", `--older-than=${age}`);
    expect(code).toBe(2);
    expect(err).toContain("30m, 12h, 7d");
    expect(existsSync(path)).toBe(true);
  });
});

describe("mull cache verify", () => {
  it("finds nothing wrong with what was written", async () => {
    addThree();
    expect(await mull("verify")).toEqual({
      code: 0,
      out: "3 entries good, 0 damaged and removed (12.5 kB read).\n",
      err: "",
    });
  });

  it("removes what is damaged, and tells it by its exit code", async () => {
    const [path = "", other = ""] = addThree();
    const bytes = readFileSync(path);
    bytes[2000] = (bytes[2000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const { code, out } = await mull("verify");
    expect(code).toBe(1);
    expect(out).toContain("2 entries good, 1 damaged and removed");
    expect(existsSync(path)).toBe(false);
    expect(existsSync(other)).toBe(true);
    expect((await mull("verify")).code).toBe(0);
  });

  it("stops when it is told to", async () => {
    addThree();
    const cli = new CliHarness({ env: { MULL_CACHE_DIR: folder } });
    cli.stop.abort();
    expect(await cli.run("cache", "verify")).toBe(130);
  });
});

describe("mull cache", () => {
  it("prints its folder", async () => {
    expect((await mull("path")).out).toBe(`${folder}\n`);
  });

  it("shows how it is used", async () => {
    const { code, out } = await mull("--help");
    expect(code).toBe(0);
    expect(out).toMatch(/^Examples:\n {2}mull cache ls/);
    expect((await mull("sl")).code).toBe(2);
  });

  it("says what is wrong with MULL_CACHE_SIZE", async () => {
    const cli = new CliHarness({ env: { MULL_CACHE_DIR: folder, MULL_CACHE_SIZE: "lots" } });
    expect(await cli.run("cache", "ls")).toBe(2);
    expect(cli.err).toContain('MULL_CACHE_SIZE is "lots"');
  });
});
