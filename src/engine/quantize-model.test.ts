import { existsSync } from "node:fs";
import { copyFile, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { writeRandomTextModel } from "../../bench/random-model.ts";
import { temporaryFolder } from "../../test/support/tiny-models.ts";
import { dequantize } from "../gguf/dequantize.ts";
import { uint32 } from "../gguf/metadata.ts";
import { type PackedTypeName, quantize } from "../gguf/quantize.ts";
import { readGguf } from "../gguf/read.ts";
import { writeGguf } from "../gguf/write.ts";
import { load } from "./load.ts";
import { QUANTIZATIONS } from "./quantization.ts";
import { quantizeModel } from "./quantize-model.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder.path, name);

/** Rows are multiples of 256, as k-quants need. */
const WIDE = { embedding: 256, feedForward: 512, blocks: 2, type: "f16" } as const;

beforeAll(async () => {
  await writeRandomTextModel(at("tiny.gguf"));
  await writeRandomTextModel(at("wide.gguf"), WIDE);
});

describe("quantizeModel", () => {
  it.each<["q8_0" | "q4_0", PackedTypeName]>([
    ["q8_0", "q8_0"],
    ["q4_0", "q4_0"],
  ])("to %s gives the bytes of our own quantiser", async (type, packed) => {
    const progress: number[] = [];
    const input = await readGguf(at("tiny.gguf"));
    const result = await quantizeModel({
      input: at("tiny.gguf"),
      output: at(`tiny-${type}.gguf`),
      type,
      onProgress: (completed, total) => progress.push(completed / total),
    });
    const output = await readGguf(at(`tiny-${type}.gguf`));
    expect(result).toEqual({ bytes: output.fileBytes, type });
    expect(output.number("general.file_type")).toBe(type === "q8_0" ? 7 : 2);
    expect([...output.tensors.keys()].sort()).toEqual([...input.tensors.keys()].sort());
    const different: string[] = [];
    let compared = 0;
    for (const info of output.tensors.values()) {
      const source = input.requireTensor(info.name);
      const bytes = await output.readTensor(info);
      const original = await input.readTensor(source);
      // The output matrix gets more bits.
      if (info.type !== packed && info.type !== "f32") continue;
      const expected = info.type === "f32" ? original : quantize(packed, dequantize(source.type, original));
      if (!Buffer.from(bytes).equals(expected)) different.push(info.name);
      compared += 1;
    }
    expect(different).toEqual([]);
    expect(compared).toBeGreaterThanOrEqual(20);
    expect(progress[0]).toBe(0);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(progress.length).toBe(input.tensors.size + 1);
  });

  it("to q4_K_M gives a model of k-quants that answers", async () => {
    await quantizeModel({ input: at("wide.gguf"), output: at("wide-q4_K_M.gguf"), type: "Q4_K_M" });
    const { tensors } = await readGguf(at("wide-q4_K_M.gguf"));
    expect(tensors.get("blk.0.attn_q.weight")?.type).toBe("q4_K");
    expect(tensors.get("output.weight")?.type).toBe("q6_K");
    await using model = await load(at("wide-q4_K_M.gguf"));
    expect(model.info.quantization).toBe("Q4_K");
    expect(await model.ask("What is this?", { maxTokens: 8 })).not.toBe("");
  });

  it("knows every type it lists", async () => {
    for (const { name, tensorType, fileType } of QUANTIZATIONS) {
      const output = at(`all-${name}.gguf`);
      const { type } = await quantizeModel({ input: at("wide.gguf"), output, type: name.toUpperCase() });
      expect(type).toBe(name);
      const written = await readGguf(output);
      expect(written.requireTensor("blk.1.attn_q.weight").type).toBe(tensorType);
      expect(written.number("general.file_type")).toBe(fileType);
    }
  });

  it("joins the parts of a split model, whatever they are called", async () => {
    const whole = await readGguf(at("tiny.gguf"));
    const tensors = await Promise.all(
      [...whole.tensors.values()].map(async (info) => ({ ...info, data: await whole.readTensor(info) })),
    );
    const parts = await writeGguf(
      at("split.gguf"),
      { metadata: whole.metadata, tensors },
      { maxTensorsPerFile: 8 },
    );
    const blobs = parts.map((_, index) => at(`sha256-${index}`));
    for (const [index, path] of parts.entries()) await copyFile(path, blobs[index] as string);
    await quantizeModel({ input: at("tiny.gguf"), output: at("one.gguf"), type: "q8_0" });
    await quantizeModel({
      input: blobs[0] as string,
      splitFiles: blobs,
      output: at("joined.gguf"),
      type: "q8_0",
    });
    await quantizeModel({ input: parts[0] as string, output: at("named.gguf"), type: "q8_0" });
    const one = await readGguf(at("one.gguf"));
    for (const name of ["joined.gguf", "named.gguf"]) {
      const joined = await readGguf(at(name));
      expect([...joined.metadata.keys()]).toEqual([...one.metadata.keys()]);
      for (const info of one.tensors.values()) {
        const other = await joined.readTensor(joined.requireTensor(info.name));
        expect(Buffer.from(other).equals(await one.readTensor(info))).toBe(true);
      }
    }
    expect((await readdir(folder.path)).filter((name) => name.startsWith("parts-"))).toEqual([]);
  });

  it("quantises what is quantised only when it is told to", async () => {
    await writeRandomTextModel(at("q8.gguf"), { type: "q8_0" });
    const options = { input: at("q8.gguf"), output: at("again.gguf"), type: "q4_0" };
    await expect(quantizeModel(options)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(/quantised already: token_embd.weight is q8_0/),
    });
    expect(existsSync(options.output)).toBe(false);
    await quantizeModel({ ...options, allowRequantize: true });
    expect((await readGguf(options.output)).requireTensor("blk.0.attn_q.weight").type).toBe("q4_0");
  });

  it.each([
    ["q7_0", /no quantisation type "q7_0"/, /q4_0.*q4_K_M.*iq4_xs.*bf16/],
    ["IQ2_XXS", /importance matrix/, /q4_K_M/],
    ["q2_K_S", /importance matrix/, /q2_K/],
    ["__proto__", /no quantisation type/, /q4_0/],
  ])("refuses the type %s and lists the others", async (type, message, hint) => {
    const failure = quantizeModel({ input: at("tiny.gguf"), output: at("none.gguf"), type });
    await expect(failure).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  });

  it("never writes over its input, nor what it cannot write correctly", async () => {
    const before = await readFile(at("tiny.gguf"));
    await expect(
      quantizeModel({ input: at("tiny.gguf"), output: at("tiny.gguf"), type: "q8_0" }),
    ).rejects.toMatchObject({ code: "invalid_argument" });
    expect(before.equals(await readFile(at("tiny.gguf")))).toBe(true);
    const whole = await readGguf(at("tiny.gguf"));
    const tensors = await Promise.all(
      [...whole.tensors.values()].map(async (info) => ({ ...info, data: await whole.readTensor(info) })),
    );
    const metadata = new Map([...whole.metadata, ["general.alignment", uint32(64)]]);
    await writeGguf(at("aligned.gguf"), { metadata, tensors });
    await expect(
      quantizeModel({ input: at("aligned.gguf"), output: at("none.gguf"), type: "q8_0" }),
    ).rejects.toMatchObject({ code: "invalid_model", message: expect.stringMatching(/64 bytes/) });
  });

  it("leaves nothing of a model with numbers that are none", async () => {
    const whole = await readGguf(at("tiny.gguf"));
    const tensors = await Promise.all(
      [...whole.tensors.values()].map(async (info) => ({ ...info, data: await whole.readTensor(info) })),
    );
    new Float32Array(tensors[3]?.data.buffer as ArrayBuffer)[5] = Number.NaN;
    await writeGguf(at("nan.gguf"), { metadata: whole.metadata, tensors });
    const before = await readdir(folder.path);
    await expect(
      quantizeModel({ input: at("nan.gguf"), output: at("none.gguf"), type: "q8_0" }),
    ).rejects.toMatchObject({ code: "invalid_model", message: expect.stringMatching(/cannot be quantised/) });
    expect(await readdir(folder.path)).toEqual(before);
  });
});
