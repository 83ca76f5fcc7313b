import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { string, uint32 } from "../gguf/metadata.ts";
import { writeGguf } from "../gguf/write.ts";
import { writeRandomAdapter } from "../../bench/random-adapter.ts";
import { temporaryFolder, tinyPair } from "../../test/support/tiny-models.ts";
import { modelConfig, readGgufLayer } from "./gguf-layers.ts";

const folder = temporaryFolder();

async function writeHeader(name: string, keys: Readonly<Record<string, string>>): Promise<string> {
  const path = join(folder.path, name);
  const metadata = Object.fromEntries(Object.entries(keys).map(([key, value]) => [key, string(value)]));
  const tensors = [{ name: "t", type: "f32", shape: [1], data: new Uint8Array(4) }] as const;
  await writeGguf(path, { metadata: { ...metadata, "general.file_type": uint32(0) }, tensors });
  return path;
}

describe("readGgufLayer", () => {
  it("tells models, projectors and adapters apart by their headers", async () => {
    const { model, projector } = await tinyPair(folder.path);
    expect((await readGgufLayer(model)).kind).toBe("model");
    expect((await readGgufLayer(projector)).kind).toBe("projector");
    const adapter = await writeHeader("adapter.gguf", {
      "general.architecture": "llama",
      "general.type": "adapter",
    });
    expect((await readGgufLayer(adapter)).kind).toBe("adapter");
    const hears = await writeHeader("mmproj.gguf", { "general.architecture": "x", "general.type": "mmproj" });
    expect((await readGgufLayer(hears)).kind).toBe("projector");
  });

  it("checks text models as if they were to be loaded", async () => {
    const empty = await writeHeader("empty.gguf", { "general.architecture": "llama" });
    await expect(readGgufLayer(empty)).rejects.toMatchObject({ code: "invalid_model" });
    const matrix = await writeHeader("imatrix.gguf", {
      "general.architecture": "llama",
      "general.type": "imatrix",
    });
    await expect(readGgufLayer(matrix)).rejects.toThrow(/imatrix/);
  });

  it("stops when it is told to", async () => {
    const { model } = await tinyPair(folder.path);
    await expect(readGgufLayer(model, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "aborted",
    });
  });
});

describe("modelConfig", () => {
  it("says what Ollama's says", async () => {
    const { model, projector } = await tinyPair(folder.path, { text: { type: "q4_0" } });
    const text = await readGgufLayer(model);
    const sees = await readGgufLayer(projector);
    expect(modelConfig([sees, text], [])).toMatchObject({
      model_family: "llama",
      model_families: ["llama", "clip"],
      file_type: "Q4_0",
    });
    expect(modelConfig([text], []).model_families).toEqual(["llama"]);
  });

  it("takes adapters that are for the text model, and no others", async () => {
    const { model } = await tinyPair(folder.path);
    const other = await tinyPair(folder.path, { text: { embedding: 128, heads: 4 } });
    const text = await readGgufLayer(model);
    const path = join(folder.path, "lora.gguf");
    await writeRandomAdapter(path, text.gguf, {
      rank: 2,
      alpha: 4,
      tensors: ["blk.0.attn_q.weight"],
      seed: 3,
    });
    const adapter = await readGgufLayer(path);
    expect(modelConfig([text, adapter], []).model_family).toBe("llama");
    const wrong = await readGgufLayer(other.model);
    expect(() => modelConfig([wrong, adapter], [])).toThrow(
      expect.objectContaining({ code: "invalid_model" }),
    );
    expect(() => modelConfig([adapter], [])).toThrow(/an adapter, not a text model/);
  });

  it("refuses what makes no model", async () => {
    const { model, projector } = await tinyPair(folder.path);
    const text = await readGgufLayer(model);
    const sees = await readGgufLayer(projector);
    expect(() => modelConfig([sees], [])).toThrow(/a projector, not a text model/);
    expect(() => modelConfig([text, text], [])).toThrow(/second text model/);
    expect(() => modelConfig([text, sees, sees], [])).toThrow(/second projector/);
  });
});
