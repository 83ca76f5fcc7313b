import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import {
  type CheckpointShape,
  type WrittenCheckpoint,
  writeCheckpointFolder,
} from "../../../test/support/llava-checkpoint.ts";
import { temporaryFolder } from "../../../test/support/tiny-models.ts";
import { type RawTensor, encodeSafetensors } from "../../../test/support/write-safetensors.ts";
import { dequantize } from "../../gguf/dequantize.ts";
import { quantize } from "../../gguf/quantize.ts";
import { readGguf } from "../../gguf/read.ts";
import { MullError } from "../../spec/errors.ts";
import { type ConvertFolderOptions, convertFolder } from "./convert-folder.ts";
import { readSafetensors } from "./safetensors.ts";

const folder = temporaryFolder();

const newOutput = (): string => mkdtempSync(join(folder.path, "output-"));

async function convert(from: { folder: string }, options: ConvertFolderOptions = {}) {
  return convertFolder(from.folder, newOutput(), options);
}

/** What is thrown; nothing may be left in the output folder. */
async function failure(from: { folder: string }, options: ConvertFolderOptions = {}): Promise<MullError> {
  const output = newOutput();
  const error = await convertFolder(from.folder, output, options).catch((thrown: unknown) => thrown);
  expect(readdirSync(output)).toEqual([]);
  if (!MullError.is(error)) throw error;
  return error;
}

type Tensors = Record<string, RawTensor>;

/** Changes the tensors of a folder of one file. */
async function edit(
  checkpoint: WrittenCheckpoint,
  change: (tensors: Tensors) => void,
): Promise<WrittenCheckpoint> {
  const path = join(checkpoint.folder, "model.safetensors");
  const bytes = readFileSync(path);
  const tensors: Tensors = {};
  for (const { name, dtype, shape, offset, bytes: length } of await readSafetensors(path)) {
    tensors[name] = { dtype, shape, data: Uint8Array.from(bytes.subarray(offset, offset + length)) };
  }
  change(tensors);
  writeFileSync(path, encodeSafetensors(tensors));
  return checkpoint;
}

function configure(
  checkpoint: WrittenCheckpoint,
  change: (config: Record<string, unknown>) => void,
): WrittenCheckpoint {
  const path = join(checkpoint.folder, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  change(config);
  writeFileSync(path, JSON.stringify(config));
  return checkpoint;
}

const write = async (shape: Partial<CheckpointShape> = {}) => writeCheckpointFolder(folder.path, shape);
const textOnly = async (shape: Partial<CheckpointShape> = {}) => write({ layout: "text-only", ...shape });

const DOWN = "model.layers.1.mlp.down_proj.weight";
const EMBEDDING = "model.embed_tokens.weight";

describe("types", () => {
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    it.each(["f32", "f16", "bf16", "q8_0"] as const)(`of ${dtype} become %s`, async (type) => {
      const checkpoint = await write({ dtype, seed: 40 });
      const { model, projector } = await convert(checkpoint, { type });
      const text = await readGguf(model);
      expect(text.requireTensor("token_embd.weight").type).toBe(type);
      expect(text.requireTensor("output_norm.weight").type).toBe("f32");
      const down = text.requireTensor("blk.1.ffn_down.weight");
      const values = checkpoint.weights.get(DOWN)?.values as Float32Array;
      expect(Buffer.from(await text.readTensor(down))).toEqual(Buffer.from(quantize(type, values)));
      expect(text.number("general.file_type")).toBe({ f32: 0, f16: 1, bf16: 32, q8_0: 7 }[type]);
      // A projector is small, and what it loses is lost for every picture.
      const kept = type === "q8_0" ? ({ F32: "f32", F16: "f16", BF16: "bf16" } as const)[dtype] : type;
      const gguf = await readGguf(projector as string);
      expect(gguf.requireTensor("mm.2.weight").type).toBe(kept);
      expect(gguf.requireTensor("v.patch_embd.weight").type).toBe(kept === "f16" ? "f16" : "f32");
      expect(gguf.requireTensor("v.position_embd.weight").type).toBe("f32");
    });
  }

  it("of the projector can be chosen alone", async () => {
    const { projector } = await convert(await write(), { projectorType: "q8_0" });
    expect((await readGguf(projector as string)).requireTensor("v.blk.0.ffn_up.weight").type).toBe("q8_0");
  });

  it("stay as they are where values are too large, and it is said", async () => {
    const checkpoint = await edit(await textOnly({ dtype: "BF16" }), (tensors) => {
      new Uint16Array((tensors[DOWN] as RawTensor).data.buffer).fill(0x4780, 3, 5); // 65536
    });
    let last = [0, 1];
    const { model, warnings } = await convert(checkpoint, {
      type: "f16",
      onProgress: (completed, total) => (last = [completed, total]),
    });
    expect(warnings).toEqual([
      "blk.1.ffn_down.weight keeps its type: 2 of its values are too large for f16.",
    ]);
    const gguf = await readGguf(model);
    const down = gguf.requireTensor("blk.1.ffn_down.weight");
    expect(down.type).toBe("bf16");
    expect(dequantize("bf16", await gguf.readTensor(down))[3]).toBe(65_536);
    expect(gguf.requireTensor("blk.0.ffn_down.weight").type).toBe("f16");
    expect(last[0]).toBe(last[1]);
  });

  it("tell of values that are no numbers", async () => {
    const checkpoint = await edit(await textOnly(), (tensors) => {
      const values = new Float32Array((tensors[DOWN] as RawTensor).data.buffer);
      values[1] = NaN;
      values[700] = -Infinity;
    });
    for (const type of ["keep", "f16", "q8_0"] as const) {
      const { warnings } = await convert(checkpoint, { type });
      expect(warnings).toEqual(["blk.1.ffn_down.weight holds 2 values that are infinite or not a number."]);
    }
  });
});

describe("tensors larger than a chunk", () => {
  it("come out whole, with their rows in order", async () => {
    const checkpoint = await textOnly();
    // A head has 2 MB, a chunk at most 4.
    const [heads, half, columns] = [4, 16, 16_000];
    const values = (rows: number, width: number): Float32Array =>
      new Float32Array(rows * width).map((_, index) => (index * 0.618) % 1);
    const raw = (...shape: [number, number]): RawTensor => ({
      dtype: "F32",
      shape,
      data: new Uint8Array(values(...shape).buffer),
    });
    const rows = heads * half * 2;
    const ones = (width: number): RawTensor => ({
      dtype: "F32",
      shape: [width],
      data: new Uint8Array(width * 4),
    });
    await edit(checkpoint, (tensors) => {
      for (const name of Object.keys(tensors)) delete tensors[name];
      tensors[EMBEDDING] = raw(checkpoint.rows, columns);
      for (const [name, shape] of Object.entries({
        "self_attn.q_proj": [rows, columns],
        "self_attn.k_proj": [rows / 2, columns],
        "self_attn.v_proj": [rows / 2, columns],
        "self_attn.o_proj": [columns, rows],
        "mlp.gate_proj": [32, columns],
        "mlp.up_proj": [32, columns],
        "mlp.down_proj": [columns, 32],
      })) {
        tensors[`model.layers.0.${name}.weight`] = raw(...(shape as [number, number]));
      }
      for (const name of ["layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm"]) {
        tensors[`model.${name}.weight`] = ones(columns);
      }
    });
    configure(checkpoint, (config) => {
      Object.assign(config, {
        hidden_size: columns,
        head_dim: 32,
        intermediate_size: 32,
        num_hidden_layers: 1,
        tie_word_embeddings: true,
      });
    });
    const { model } = await convert(checkpoint);
    const gguf = await readGguf(model);
    const floats = async (name: string): Promise<Float32Array> =>
      new Float32Array((await gguf.readTensor(gguf.requireTensor(name))).buffer);
    expect(
      Buffer.compare(
        Buffer.from((await floats("token_embd.weight")).buffer),
        Buffer.from(values(checkpoint.rows, columns).buffer),
      ),
    ).toBe(0);
    const [before, after] = [values(rows, columns), await floats("blk.0.attn_q.weight")];
    for (let row = 0; row < rows; row++) {
      const head = Math.floor(row / 32) * 32;
      const from = head + (row % 2) * half + Math.floor((row % 32) / 2);
      const expected = before.subarray(from * columns, (from + 1) * columns);
      expect(
        Buffer.compare(bytesOf(after.subarray(row * columns, (row + 1) * columns)), bytesOf(expected)),
      ).toBe(0);
    }
  });

  const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
});

describe("a folder that is not a whole model", () => {
  it("is told with all that is missing, wrong and left over", async () => {
    const checkpoint = await edit(await textOnly(), (tensors) => {
      delete tensors["model.layers.0.self_attn.k_proj.weight"];
      delete tensors["lm_head.weight"];
      tensors["model.layers.0.mlp.experts.0.weight"] = tensors[DOWN] as RawTensor;
      tensors["model.norm.weight"] = { dtype: "F32", shape: [2], data: new Uint8Array(8) };
      tensors["model.layers.1.input_layernorm.weight"] = {
        dtype: "F64",
        shape: [64],
        data: new Uint8Array(512),
      };
    });
    const error = await failure(checkpoint);
    expect(error).toMatchObject({
      code: "invalid_model",
      details: {
        missing: ["model.layers.0.self_attn.k_proj.weight", "lm_head.weight"],
        unexpected: ['"model.layers.0.mlp.experts.0.weight"'],
        wrong: [
          '"model.layers.1.input_layernorm.weight" is of type F64',
          '"model.norm.weight" is [2] instead of [64]',
        ],
      },
    });
    expect(error.message).toMatch(/2 missing .*2 not as the configuration says .*1 without a place/);
  });

  it("is refused without its configuration, weights or itself", async () => {
    const checkpoint = await textOnly();
    rmSync(join(checkpoint.folder, "model.safetensors"));
    expect(await failure(checkpoint)).toMatchObject({
      code: "model_not_found",
      message: expect.stringMatching(/no safetensors/),
    });
    writeFileSync(join(checkpoint.folder, "pytorch_model.bin"), "PK");
    expect(await failure(checkpoint)).toMatchObject({
      code: "model_not_found",
      hint: expect.stringMatching(/Pickles are programs/),
    });
    writeFileSync(join(checkpoint.folder, "adapter_model.safetensors"), "");
    expect(await failure(checkpoint)).toMatchObject({ message: expect.stringMatching(/adapter \(LoRA\)/) });
    rmSync(join(checkpoint.folder, "config.json"));
    expect(await failure(checkpoint)).toMatchObject({
      code: "model_not_found",
      message: expect.stringMatching(/no config.json/),
    });
    expect(await failure({ folder: "/nowhere" })).toMatchObject({ code: "model_not_found" });
  });

  it("is refused if it holds two of one part", async () => {
    const checkpoint = await edit(await write(), (tensors) => {
      tensors["image_newline"] = { dtype: "F32", shape: [64], data: new Uint8Array(256) };
      tensors["model.image_newline"] = tensors["image_newline"];
    });
    expect(await failure(checkpoint)).toMatchObject({ message: expect.stringMatching(/are the same part/) });
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ["another text model", { architectures: ["GemmaForCausalLM"], model_type: "gemma" }, /GemmaForCausalLM/],
    ["experts", { architectures: ["MixtralForCausalLM"], model_type: "mixtral" }, /MixtralForCausalLM/],
    ["quantised weights", { quantization_config: { quant_method: "awq" } }, /quantised already/],
    ["an odd head", { head_dim: 15 }, /heads of 15/],
    ["heads that do not divide", { num_key_value_heads: 3 }, /3 key-value heads do not divide 4/],
    ["no layers", { num_hidden_layers: 0 }, /"num_hidden_layers" is "0"/],
    ["a fraction", { hidden_size: 1.5 }, /"hidden_size" is "1.5"/],
    ["a text for a number", { rms_norm_eps: "1e-5" }, /"rms_norm_eps"/],
    ["another activation", { hidden_act: "gelu" }, /hidden_act/],
    ["scaling that nobody has", { rope_scaling: { rope_type: "longrope" } }, /longrope/],
    ["another number of blocks", { num_hidden_layers: 3 }, /9 missing/],
  ])("is refused with %s", async (_, change, message) => {
    const checkpoint = configure(await textOnly(), (config) => Object.assign(config, change));
    expect(await failure(checkpoint)).toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(message),
    });
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ["another vision tower", { vision_config: { model_type: "siglip_vision_model" } }, /siglip_vision_model/],
    ["another class", { architectures: ["PaliGemmaForConditionalGeneration"] }, /PaliGemma/],
    ["the class token's row", { vision_feature_select_strategy: "full" }, /full/],
    ["a feature layer beyond the tower", { vision_feature_layer: -9 }, /-9/],
    ["another activation between the layers", { projector_hidden_act: "relu" }, /relu/],
    ["tiles of no size", { image_grid_pinpoints: [[0, 5]] }, /image_grid_pinpoints/],
  ])("is refused with %s", async (_, change, message) => {
    const checkpoint = configure(await write({ version: "1.6" }), (config) => Object.assign(config, change));
    expect(await failure(checkpoint)).toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(message),
    });
  });
});

describe("an index", () => {
  const index = (checkpoint: WrittenCheckpoint): string =>
    join(checkpoint.folder, "model.safetensors.index.json");
  const reindex = async (change: (map: Record<string, string>) => void): Promise<WrittenCheckpoint> => {
    const checkpoint = await textOnly({ shards: 2 });
    const content = JSON.parse(readFileSync(index(checkpoint), "utf8")) as {
      weight_map: Record<string, string>;
    };
    change(content.weight_map);
    writeFileSync(index(checkpoint), JSON.stringify(content));
    return checkpoint;
  };

  it.each([
    "../x.safetensors",
    "/etc/passwd",
    "a/b.safetensors",
    "a\\b.safetensors",
    "x.bin",
    "..safetensors",
    "",
    "x\0.safetensors",
  ])("may not name the file %j", async (name) => {
    const checkpoint = await reindex((map) => (map[EMBEDDING] = name));
    expect(await failure(checkpoint)).toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/not a file of this folder/),
    });
  });

  it("must agree with the files", async () => {
    const [first, second] = [1, 2].map((number) => `model-0000${number}-of-00002.safetensors`) as [
      string,
      string,
    ];
    const swap = await reindex((map) => (map[EMBEDDING] = map[EMBEDDING] === first ? second : first));
    expect(await failure(swap)).toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/by the index/),
    });
    const more = await reindex((map) => (map["lost"] = first));
    expect(await failure(more)).toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/"lost" is not in model-00001/),
    });
    const gone = await reindex(() => {});
    rmSync(join(gone.folder, second));
    expect(await failure(gone)).toMatchObject({
      code: "model_not_found",
      message: expect.stringMatching(/00002-of-00002/),
    });
    rmSync(index(gone));
    expect(await failure(gone)).toMatchObject({
      code: "model_not_found",
      message: expect.stringMatching(/1 of 2/),
    });
  });

  it("is not needed where all parts are there", async () => {
    const checkpoint = await textOnly({ shards: 2 });
    rmSync(index(checkpoint));
    expect((await convert(checkpoint)).warnings).toEqual([]);
  });
});

describe("a vision tower elsewhere", () => {
  const { HF_HUB_CACHE } = process.env;
  afterEach(() => {
    if (HF_HUB_CACHE === undefined) delete process.env["HF_HUB_CACHE"];
    else process.env["HF_HUB_CACHE"] = HF_HUB_CACHE;
  });

  /** @returns the model, and its tower moved out of its folder */
  const apart = async (to: string): Promise<WrittenCheckpoint> => {
    const checkpoint = await write({ layout: "repository", tower: "beside" });
    const from = join(checkpoint.folder, "vision_tower");
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) writeFileSync(join(to, name), readFileSync(join(from, name)));
    rmSync(from, { recursive: true });
    return checkpoint;
  };

  it("is taken from where the caller says, from beside the model, or from Hugging Face's cache", async () => {
    const cache = mkdtempSync(join(folder.path, "hub-"));
    process.env["HF_HUB_CACHE"] = cache;
    const given = join(mkdtempSync(join(folder.path, "tower-")), "clip");
    expect((await convert(await apart(given), { visionTower: given })).projector).toBeDefined();

    const beside = join(folder.path, "tiny-clip");
    expect((await convert(await apart(beside))).projector).toBeDefined();
    rmSync(beside, { recursive: true });

    const revision = "0123456789abcdef0123456789abcdef01234567";
    const cached = join(cache, "models--somebody--tiny-clip");
    const checkpoint = await apart(join(cached, "snapshots", revision));
    expect(await failure(checkpoint)).toMatchObject({ code: "model_not_found" });
    mkdirSync(join(cached, "refs"));
    writeFileSync(join(cached, "refs", "main"), revision);
    expect((await convert(checkpoint)).projector).toBeDefined();
  });

  it("is asked for by name if it is nowhere", async () => {
    const error = await failure(await apart(mkdtempSync(join(folder.path, "tower-"))));
    expect(error).toMatchObject({
      code: "model_not_found",
      message: expect.stringMatching(/does not hold its vision tower, somebody\/tiny-clip/),
      hint: expect.stringMatching(/Get somebody\/tiny-clip as safetensors.*llava-hf/),
      details: { visionTower: "somebody/tiny-clip" },
    });
  });

  it("is not looked for wherever a configuration points", async () => {
    const elsewhere = mkdtempSync(join(folder.path, "elsewhere-"));
    const checkpoint = configure(await apart(elsewhere), (config) =>
      Object.assign(config, { mm_vision_tower: `../../../../../../..${elsewhere}` }),
    );
    rmSync(join(elsewhere, "config.json"));
    expect(await failure(checkpoint)).toMatchObject({ code: "model_not_found" });
  });
});

describe("what a configuration can say besides", () => {
  it("is completed by transformers' defaults", async () => {
    const checkpoint = configure(await textOnly(), (config) => {
      for (const key of ["rope_theta", "rms_norm_eps", "max_position_embeddings"]) delete config[key];
    });
    const gguf = await readGguf((await convert(checkpoint)).model);
    expect(gguf.number("llama.rope.freq_base")).toBe(10_000);
    expect(gguf.number("llama.context_length")).toBe(2048);
    expect(gguf.number("llama.attention.layer_norm_rms_epsilon")).toBeCloseTo(1e-6, 12);
  });

  it("is read under transformers 5's names", async () => {
    const checkpoint = configure(await textOnly(), (config) =>
      Object.assign(config, {
        rope_theta: null,
        rope_parameters: {
          rope_type: "yarn",
          rope_theta: 777,
          factor: 4,
          original_max_position_embeddings: 128,
          beta_fast: 16,
        },
      }),
    );
    const gguf = await readGguf((await convert(checkpoint)).model);
    expect(gguf.number("llama.rope.freq_base")).toBe(777);
    expect(gguf.string("llama.rope.scaling.type")).toBe("yarn");
    expect(gguf.number("llama.rope.scaling.factor")).toBe(4);
    expect(gguf.number("llama.rope.scaling.original_context_length")).toBe(128);
    expect(gguf.number("llama.rope.scaling.yarn_beta_fast")).toBe(16);
  });

  it("is told where the engine cannot follow", async () => {
    const mistral = configure(await textOnly({ text: "mistral" }), (config) =>
      Object.assign(config, { sliding_window: 64 }),
    );
    expect((await convert(mistral)).warnings).toEqual([expect.stringMatching(/looks back on 64 tokens/)]);
    const marked = configure(await write({ layout: "repository" }), (config) =>
      Object.assign(config, { mm_use_im_start_end: true }),
    );
    expect((await convert(marked)).warnings).toEqual([expect.stringMatching(/<im_start> and <im_end>/)]);
    const dynamic = configure(await textOnly(), (config) =>
      Object.assign(config, { rope_scaling: { type: "dynamic", factor: 2 } }),
    );
    expect((await convert(dynamic)).warnings).toEqual([expect.stringMatching(/dynamic scaling/)]);
  });

  it("cuts LLaVA-NeXT's ranges into sizes", async () => {
    const checkpoint = configure(await write({ layout: "repository", version: "1.6" }), (config) =>
      Object.assign(config, { image_grid_pinpoints: "(1x1),...,(2x2)" }),
    );
    const gguf = await readGguf((await convert(checkpoint)).projector as string);
    const sizes = [32, 32, 32, 64, 64, 32, 64, 64];
    expect([...gguf.requireNumbers("clip.vision.image_grid_pinpoints")]).toEqual(sizes);
  });

  it("leaves out tiles of a 1.5 model that 1.6's code saved", async () => {
    const checkpoint = await write({ layout: "repository", version: "1.5" });
    const gguf = await readGguf((await convert(checkpoint)).projector as string);
    expect(gguf.numbers("clip.vision.image_grid_pinpoints")).toBeUndefined();
  });

  it("names a model of Hugging Face's cache by its repository", async () => {
    const checkpoint = configure(await textOnly(), (config) => delete config["_name_or_path"]);
    const snapshot = join(folder.path, "models--somebody--Some-Model-7B", "snapshots", "0123");
    mkdirSync(snapshot, { recursive: true });
    for (const name of readdirSync(checkpoint.folder)) {
      writeFileSync(join(snapshot, name), readFileSync(join(checkpoint.folder, name)));
    }
    const { model } = await convert({ folder: snapshot });
    expect(model).toMatch(/\/Some-Model-7B-F32\.gguf$/);
    expect((await readGguf(model)).string("general.name")).toBe("Some-Model-7B");
  });

  it("exchanges the feed-forward's names where the shapes cannot tell", async () => {
    const checkpoint = await edit(
      configure(await write(), (config) =>
        Object.assign(config["vision_config"] as object, { intermediate_size: 32 }),
      ),
      (tensors) => {
        for (const [name, tensor] of Object.entries(tensors)) {
          if (!/vision.*mlp/.test(name) || /fc2\.bias/.test(name)) continue;
          const shape = tensor.shape.map(() => 32);
          tensors[name] = { ...tensor, shape, data: tensor.data.subarray(0, 4 * 32 ** shape.length) };
        }
      },
    );
    const gguf = await readGguf((await convert(checkpoint)).projector as string);
    const stored = await readSafetensors(join(checkpoint.folder, "model.safetensors"));
    const source = stored.find(({ name }) => name.endsWith("layers.0.mlp.fc1.weight"));
    const bytes = readFileSync(source?.path as string).subarray(source?.offset, (source?.offset ?? 0) + 4096);
    expect(Buffer.compare(await gguf.readTensor(gguf.requireTensor("v.blk.0.ffn_down.weight")), bytes)).toBe(
      0,
    );
  });
});

describe("a conversion that does not end", () => {
  it("leaves what was there, and nothing else", async () => {
    const checkpoint = await write();
    const output = newOutput();
    const { model, projector } = await convertFolder(checkpoint.folder, output, {});
    const [before, beside] = [readFileSync(model), readFileSync(projector as string)];
    const abort = new AbortController();
    const again = convertFolder(checkpoint.folder, output, {
      signal: abort.signal,
      onProgress: (completed, total) => completed > total * 0.9 && abort.abort(),
    });
    await expect(again).rejects.toMatchObject({ code: "aborted" });
    expect(readdirSync(output)).toHaveLength(2);
    expect(readFileSync(model).equals(before) && readFileSync(projector as string).equals(beside)).toBe(true);
  });

  it("tells of a folder that cannot be written", async () => {
    const file = join(folder.path, "a-file");
    writeFileSync(file, "");
    const error = await convertFolder((await textOnly()).folder, join(file, "x"), {}).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: "store_unavailable" });
  });

  it("tells of a file that has shrunk meanwhile", async () => {
    const checkpoint = await textOnly();
    const path = join(checkpoint.folder, "model.safetensors");
    const error = await failure(checkpoint, {
      onFiles: () => writeFileSync(path, readFileSync(path).subarray(0, 20_000)),
    });
    expect(error).toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/the file ends inside tensor/),
    });
  });
});
