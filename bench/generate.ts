import { join } from "node:path";
import { parseArgs } from "node:util";
import { BAKLLAVA_TEXT_MODEL, TINY_TEXT_MODEL, writeRandomTextModel } from "./random-model.ts";
import { BAKLLAVA_PROJECTOR, TINY_PROJECTOR, writeRandomProjector } from "./random-projector.ts";
import { MullError } from "../src/spec/errors.ts";
import { readGguf } from "../src/gguf/read.ts";

const SHAPES = {
  tiny: { model: TINY_TEXT_MODEL, projector: TINY_PROJECTOR },
  bakllava: { model: BAKLLAVA_TEXT_MODEL, projector: BAKLLAVA_PROJECTOR },
};

const USAGE = `Writes a pair of models with random weights, to measure without a download.

  node build/bench/generate.js --shape bakllava|tiny --out DIR

  tiny       0.6 MB + 0.1 MB
  bakllava   4.1 GB + 0.6 GB: Mistral 7B in Q4_0, CLIP ViT-L/14-336 and LLaVA 1.5's projector in F16`;

async function main(): Promise<void> {
  const values = parseOptions();
  const shape = SHAPES[values.shape as keyof typeof SHAPES] as (typeof SHAPES)["tiny"] | undefined;
  if (shape === undefined || values.out === undefined) throw new MullError("invalid_argument", USAGE);
  const model = join(values.out, `${values.shape}-random.gguf`);
  const projector = join(values.out, `mmproj-${values.shape}-random.gguf`);
  await writeRandomTextModel(model, shape.model);
  await writeRandomProjector(projector, shape.projector);
  for (const path of [model, projector]) {
    const { fileBytes, tensors } = await readGguf(path);
    console.log(`${path}  ${tensors.size} tensors, ${(fileBytes / 1e6).toFixed(1)} MB`);
  }
}

function parseOptions(): { shape?: string | undefined; out?: string | undefined } {
  try {
    return parseArgs({ options: { shape: { type: "string" }, out: { type: "string" } } }).values;
  } catch (cause) {
    throw new MullError("invalid_argument", USAGE, { cause });
  }
}

try {
  await main();
} catch (error) {
  const failure = MullError.wrap(error);
  console.error(failure.message);
  process.exitCode = failure.exitCode;
}
