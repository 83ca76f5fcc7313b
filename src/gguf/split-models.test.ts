import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MetadataValue, string } from "./metadata.ts";
import { readGguf } from "./read.ts";
import { writeGguf } from "./write.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mull-split-"));
});
afterAll(() => rm(directory, { recursive: true }));

describe("split models", () => {
  const tensors = Array.from({ length: 3 }, (_, index) => ({
    name: `t${index}`,
    type: "f32" as const,
    shape: [8],
    data: new Uint8Array(32),
  }));
  const split = async (name: string): Promise<string[]> => {
    const into = join(directory, name);
    await mkdir(into);
    return [
      ...(await writeGguf(
        join(into, "m.gguf"),
        { metadata: { "general.name": string("split") }, tensors },
        { maxTensorsPerFile: 1 },
      )),
    ];
  };
  test("a missing part is named", async () => {
    const [first = "", second = ""] = await split("missing");
    await rm(second);
    await expect(readGguf(first)).rejects.toMatchObject({
      code: "model_not_found",
      message: expect.stringMatching(/m-00002-of-00003/),
    });
  });

  test("a part that was copied over another is noticed", async () => {
    const [first = "", second = "", third = ""] = await split("copied");
    await copyFile(second, third);
    await expect(readGguf(first)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/part 2 of 3, but its name says part 3 of 3/),
    });
  });

  test("a part under another name cannot lead elsewhere", async () => {
    const [first = ""] = await split("renamed");
    const renamed = join(directory, "renamed", "model.gguf");
    await copyFile(first, renamed);
    await expect(readGguf(renamed)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/one of 3 parts/),
    });
  });

  test("a tensor that is in two parts is refused", async () => {
    const paths = await split("doubled");
    const keys = (part: number): Record<string, MetadataValue> => ({
      "split.no": { type: "uint16", value: part },
      "split.count": { type: "uint16", value: 3 },
    });
    await writeGguf(paths[1] ?? "", { metadata: keys(1), tensors: tensors.slice(0, 1) });
    await expect(readGguf(paths[0] ?? "")).rejects.toMatchObject({
      message: expect.stringMatching(/"t0" is in an earlier part/),
    });
  });

  test("a tensor that is in no part is missed", async () => {
    const paths = await split("lost");
    const keys: Record<string, MetadataValue> = {
      "split.no": { type: "uint16", value: 2 },
      "split.count": { type: "uint16", value: 3 },
    };
    await writeGguf(paths[2] ?? "", { metadata: keys, tensors: [] });
    await expect(readGguf(paths[0] ?? "")).rejects.toMatchObject({
      message: expect.stringMatching(/hold 2 tensors instead of 3/),
    });
  });

  test("65,535 parts are too many", async () => {
    const many = join(directory, "m-00001-of-65535.gguf");
    await writeGguf(many, { metadata: { "split.count": { type: "uint16", value: 65_535 } }, tensors: [] });
    await expect(readGguf(many)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/65535 parts/),
    });
  });
});
