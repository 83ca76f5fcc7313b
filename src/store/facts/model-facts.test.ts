import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readGguf } from "../../gguf/read.ts";
import { writeGguf } from "../../gguf/write.ts";
import { temporaryFolder, tinyPair } from "../../../test/support/tiny-models.ts";
import { readModelFacts } from "./model-facts.ts";

const folder = temporaryFolder();

describe("readModelFacts", () => {
  it("reads the parts of a split model under names that say nothing, as a store has them", async () => {
    const { model, projector } = await tinyPair(folder.path);
    const gguf = await readGguf(model);
    const tensors = await Promise.all(
      [...gguf.tensors.values()].map(async (info) => ({
        name: info.name,
        type: info.type,
        shape: info.shape,
        data: await gguf.readTensor(info),
      })),
    );
    const parts = await writeGguf(
      join(folder.path, "m.gguf"),
      { metadata: gguf.metadata, tensors },
      { maxTensorsPerFile: Math.ceil(tensors.length / 2) },
    );
    const blobs = parts.map((part, index) => {
      const blob = join(folder.path, `sha256-${index}`);
      copyFileSync(part, blob);
      return blob;
    });
    const whole = await readModelFacts({ model, projector });
    const split = await readModelFacts({ model: blobs, projector });
    expect(split.paths).toEqual([...blobs, projector]);
    expect(split).toMatchObject({
      architecture: whole.architecture,
      families: ["llama", "clip"],
      parameters: whole.parameters,
      quantization: whole.quantization,
    });
    await expect(readModelFacts({ model: blobs.toReversed() })).rejects.toMatchObject({
      code: "invalid_model",
    });
  });
});
