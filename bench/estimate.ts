import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MullError, load } from "mull";
import { estimateModelMemory } from "../src/engine/estimate-model-memory.ts";
import type { MemoryEstimate } from "../src/engine/estimate-memory.ts";
import { quantizeModel } from "../src/engine/quantize-model.ts";
import { type TextModelShape, writeRandomTextModel } from "./random-model.ts";
import { BAKLLAVA_PROJECTOR, type ProjectorShape, writeRandomProjector } from "./random-projector.ts";
import { root } from "./root.ts";
import { testPicture } from "./test-picture.ts";

/**
 * `npm run bench:estimate`: what `estimateModelMemory` says beside the resident memory (VmRSS) of an engine process that
 * was loaded and has answered one question, about a picture if it sees. Generates models of up to 3 GB, one at a time,
 * and needs some minutes, 4 GB of memory and as much on the disk. Fails if one is off by more than a tenth.
 */
const MOST_OFF = 0.1;

interface Case {
  name: string;
  text?: Partial<TextModelShape>;
  /** Quantised to this after it was written. */
  type?: string;
  projector?: Partial<ProjectorShape>;
  contextLength?: number;
  parallel?: number;
}

const LLAMA = { keyValueHeads: 8, heads: 32, vocabulary: 32_000, contextLength: 4096 };

const CASES: readonly Case[] = [
  { name: "pico" },
  {
    name: "text only, f16, mapped",
    text: { ...LLAMA, blocks: 8, embedding: 512, feedForward: 1536, heads: 8, keyValueHeads: 4, type: "f16" },
  },
  {
    name: "ViT-B, q8_0",
    text: {
      ...LLAMA,
      blocks: 6,
      embedding: 1024,
      feedForward: 3584,
      heads: 16,
      keyValueHeads: 4,
      type: "q8_0",
    },
    projector: {
      ...BAKLLAVA_PROJECTOR,
      imageSize: 224,
      patchSize: 16,
      embedding: 768,
      feedForward: 3072,
      heads: 12,
      blocks: 11,
      featureLayer: 11,
      textEmbedding: 1024,
    },
    contextLength: 2048,
  },
  {
    name: "ViT-L, q4_0, 2 at a time",
    text: { ...LLAMA, blocks: 32, embedding: 2048, feedForward: 7168, type: "q4_0" },
    projector: { ...BAKLLAVA_PROJECTOR, textEmbedding: 2048 },
    parallel: 2,
  },
  {
    name: "128,256 tokens, q8_0, context 32,768",
    text: {
      ...LLAMA,
      blocks: 20,
      embedding: 2048,
      feedForward: 5632,
      vocabulary: 128_256,
      contextLength: 32_768,
      type: "q8_0",
    },
    contextLength: 32_768,
  },
  {
    name: "q4_K_M of f16",
    text: { ...LLAMA, blocks: 16, embedding: 2048, feedForward: 5632, type: "f16" },
    type: "q4_K_M",
  },
];

interface Measured {
  /** Now, and at most, in bytes. */
  resident: number;
  peak: number;
}

async function main(): Promise<void> {
  const only = process.argv[2];
  const row = (cells: readonly (string | number)[]): string =>
    cells.map((cell, index) => String(cell).padEnd(index === 0 ? 40 : 11)).join("");
  console.log(
    row([
      "MB",
      "files",
      "weights",
      "kv",
      "encoder",
      "compute",
      "fixed",
      "estimate",
      "VmRSS",
      "VmHWM",
      "ratio",
    ]),
  );
  const off: string[] = [];
  for (const shape of CASES) {
    if (only !== undefined && !shape.name.includes(only)) continue;
    const folder = mkdtempSync(join(tmpdir(), "mull-estimate-"));
    try {
      const { estimate, measured, fileBytes } = await measure(folder, shape);
      const ratio = estimate.total / measured.resident;
      const { weights, kvCache, encoder, computeBuffers, fixed, total } = estimate;
      const bytes = [
        fileBytes,
        weights,
        kvCache,
        encoder,
        computeBuffers,
        fixed,
        total,
        measured.resident,
        measured.peak,
      ];
      console.log(row([shape.name, ...bytes.map((value) => (value / 1e6).toFixed(0)), ratio.toFixed(3)]));
      if (Math.abs(ratio - 1) > MOST_OFF) off.push(shape.name);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  if (off.length > 0)
    throw new MullError("internal", `Off by more than ${MOST_OFF * 100} %: ${off.join("; ")}`);
}

async function measure(
  folder: string,
  shape: Case,
): Promise<{ estimate: MemoryEstimate; measured: Measured; fileBytes: number }> {
  process.env["MULL_CACHE_DIR"] = join(folder, "cache");
  process.env["XDG_CACHE_HOME"] = join(folder, "cache");
  const { contextLength, parallel } = shape;
  const options = {
    ...(await write(folder, shape)),
    device: "cpu" as const,
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(parallel === undefined ? {} : { parallel }),
  };
  // The first time, a large encoder is loaded in several types, and what malloc kept of that is no measure.
  if (options.projector !== undefined) await (await load(options)).close();
  const estimate = await estimateModelMemory(options);
  await using model = await load(options);
  const sees = model.info.input.includes("image");
  const question = { maxTokens: 16 };
  if (sees) await model.ask("What is in this image?", testPicture(640, 480, 3), question);
  else await model.ask("What do you know about memory?", question);
  return { estimate, measured: memoryOf(model.enginePid as number), fileBytes: model.info.fileBytes };
}

async function write(folder: string, shape: Case): Promise<{ model: string; projector?: string }> {
  if (shape.text === undefined) {
    const pico = join(root, "models", "pico");
    return { model: join(pico, "pico.gguf"), projector: join(pico, "pico-mmproj.gguf") };
  }
  let model = join(folder, "model.gguf");
  await writeRandomTextModel(model, shape.text);
  if (shape.type !== undefined) {
    const output = join(folder, `model-${shape.type}.gguf`);
    await quantizeModel({ input: model, output, type: shape.type });
    rmSync(model);
    model = output;
  }
  if (shape.projector === undefined) return { model };
  const projector = join(folder, "mmproj.gguf");
  await writeRandomProjector(projector, shape.projector);
  return { model, projector };
}

function memoryOf(pid: number): Measured {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string): number =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  return { resident: bytes("VmRSS"), peak: bytes("VmHWM") };
}

try {
  await main();
} catch (error) {
  const failure = MullError.wrap(error);
  console.error(failure.message);
  process.exitCode = failure.exitCode;
}
