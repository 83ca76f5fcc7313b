import { execFile } from "node:child_process";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { processEntry } from "../process/entry.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mull-memory-"));
});
afterAll(() => rm(directory, { recursive: true }));

const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const u32 = (value: number): Buffer => u64(value).subarray(0, 4);
/** A header that announces more keys than it has and begins with the key "a". */
const header = (...value: Buffer[]): Buffer =>
  Buffer.concat([Buffer.from("GGUF"), u32(3), u64(0), u64(9), u64(1), Buffer.from("a"), ...value]);
const [STRING, ARRAY, UINT32, UINT64] = [8, 9, 4, 10].map(u32) as [Buffer, Buffer, Buffer, Buffer];

describe("memory", () => {
  // Files of zeros take no space on disk, and zeros are valid: empty strings, numbers, false.
  const HUGE: Record<string, Buffer> = {
    "2^24 empty strings": header(ARRAY, STRING, u64(2 ** 24)),
    "5 million empty strings": header(ARRAY, STRING, u64(5_000_000)),
    "2^24 numbers of 64 bits": header(ARRAY, UINT64, u64(2 ** 24)),
    "an array of 44 MB, then another": header(ARRAY, UINT32, u64(11_000_000)),
    "a string of 16 MB": header(STRING, u64(2 ** 24), Buffer.from("é")),
  };

  test.each(Object.entries(HUGE))("%s take less than 64 MB", async (_, bytes) => {
    const path = join(directory, "x.gguf");
    await writeFile(path, bytes);
    await truncate(path, 400_000_000);
    // A process of its own shows the peak: everything ever resident, garbage included.
    const script = `
      const { readGguf } = await import(${JSON.stringify(processEntry("gguf/read.js").href)});
      await readGguf(${JSON.stringify(join(directory, "none"))}).catch(() => {});
      const before = process.resourceUsage().maxRSS;
      const error = await readGguf(${JSON.stringify(path)}).then(() => undefined, (error) => error);
      console.log(JSON.stringify({ code: error?.code, kilobytes: process.resourceUsage().maxRSS - before }));`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    const result = JSON.parse(stdout) as { code: string; kilobytes: number };
    expect(result.code).toBe("invalid_model");
    expect(result.kilobytes).toBeLessThan(64 * 1024);
  });
});
