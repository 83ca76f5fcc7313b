import { randomUUID } from "node:crypto";
import { appendFile, link, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Gguf } from "../gguf/gguf.ts";
import { DEFAULT_ALIGNMENT } from "../gguf/parse-header.ts";
import { publishFile, writeError } from "../gguf/publish-file.ts";
import { readGguf } from "../gguf/read.ts";
import { splitName } from "../gguf/split-names.ts";
import { TENSOR_TYPES } from "../gguf/tensor-types.ts";
import { validateTextModel } from "../gguf/validate-text-model.ts";
import { MullError } from "../spec/errors.ts";
import { physicalCores } from "./physical-cores.ts";
import {
  type Quantization,
  type QuantizeOptions,
  type QuantizedFile,
  bitsPerWeight,
  parseQuantization,
} from "./quantization.ts";
import { runQuantizer } from "./quantize-process.ts";
import { parseProjectorType, quantizeProjector } from "./quantize-projector.ts";
import { requireFreeSpace, requireOtherFile } from "./quantize-target.ts";

/**
 * Writes a model anew with smaller weights. The output appears under its name only when it is complete, was read again
 * and is on the disk; whatever goes wrong leaves nothing behind.
 *
 * @throws MullError `invalid_argument` for an unknown type, or weights that are quantised already; `model_not_found`,
 *   `invalid_model`, `insufficient_storage`, `engine_crashed`, `engine_unavailable`, `aborted`
 */
export async function quantizeModel(options: QuantizeOptions): Promise<QuantizedFile> {
  if (options.projector === true) return quantizeProjector(options);
  const type = parseQuantization(options.type);
  options.signal?.throwIfAborted();
  const input = resolve(options.input);
  const output = resolve(options.output);
  const model = await readGguf(options.splitFiles?.map((path) => resolve(path)) ?? input);
  validateTextModel(model);
  requireSource(model, output, type, options.allowRequantize ?? false);
  await mkdir(dirname(output), { recursive: true });
  await requireFreeSpace(output, leastBytes(model, type));
  // Beside the output: a rename does not leave the file system.
  const unfinished = `${output}.${randomUUID()}.unfinished`;
  const links = await linkParts(model, dirname(output));
  try {
    await runAndCheck(model, links?.first ?? model.path, unfinished, type, options);
    await publishFile(unfinished, output);
    const { fileBytes } = await readGguf(output);
    return { bytes: fileBytes, type: type.name };
  } finally {
    await rm(unfinished, { force: true });
    if (links !== undefined) await rm(links.folder, { recursive: true, force: true });
  }
}

/**
 * Whether there is such a type, before hours of work.
 *
 * @throws MullError `invalid_argument` that lists the types there are
 */
export function requireQuantization(type: string, projector: boolean): void {
  if (projector) parseProjectorType(type);
  else parseQuantization(type);
}

function requireSource(model: Gguf, output: string, type: Quantization, allowRequantize: boolean): void {
  requireOtherFile(model, output);
  if (model.alignment !== DEFAULT_ALIGNMENT) {
    throw new MullError(
      "invalid_model",
      `${model.path}: its tensors are aligned to ${model.alignment} bytes; the quantiser writes ${DEFAULT_ALIGNMENT} only.`,
      { hint: "Convert the model again without general.alignment." },
    );
  }
  const quantized = [...model.tensors.values()].find((tensor) => TENSOR_TYPES[tensor.type].blockSize > 1);
  if (quantized === undefined || allowRequantize) return;
  throw new MullError(
    "invalid_argument",
    `${model.path} is quantised already: ${quantized.name} is ${quantized.type}. To ${type.name} from there would lose more than from the original.`,
    {
      hint: "Quantise the f16, bf16 or f32 model, or allow it: --allow-requantize, or allowRequantize in code.",
    },
  );
}

/** The mixtures take more for some matrices. */
function leastBytes(model: Gguf, type: Quantization): number {
  let weights = 0;
  for (const { shape } of model.tensors.values()) weights += shape.reduce((product, n) => product * n, 1);
  return Math.floor((weights * bitsPerWeight(type.tensorType)) / 8);
}

/** The quantiser finds the parts of a split model by their names: parts under other names get links with such. */
async function linkParts(
  model: Gguf,
  parent: string,
): Promise<{ folder: string; first: string } | undefined> {
  const count = model.paths.length;
  if (count === 1) return undefined;
  const folder = await mkdtemp(join(parent, "parts-"));
  const prefix = join(folder, "model");
  for (const [index, path] of model.paths.entries()) {
    const name = splitName(prefix, index + 1, count);
    // Windows lets few users make symbolic links; a hard link works within one disk.
    await symlink(path, name).catch(() => link(path, name));
  }
  return { folder, first: splitName(prefix, 1, count) };
}

async function runAndCheck(
  model: Gguf,
  input: string,
  unfinished: string,
  type: Quantization,
  { threads = physicalCores(), allowRequantize = false, signal, onProgress = () => {} }: QuantizeOptions,
): Promise<void> {
  const total = [...model.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  let completed = 0;
  onProgress(0, total);
  const outcome = await runQuantizer({
    request: { input, output: unfinished, fileType: type.fileType, allowRequantize, threads },
    onTensor: (name) => onProgress((completed += model.tensors.get(name)?.bytes ?? 0), total),
    signal,
  });
  if (outcome === "write-failed") throw await describeWriteFailure(unfinished);
  if (outcome !== "done") {
    throw new MullError("invalid_model", `${model.path} cannot be quantised: ${outcome.refused}`, {
      hint: "Its architecture may be newer than this engine, or its weights hold numbers that are none.",
    });
  }
  const written = await readGguf(unfinished);
  validateTextModel(written);
  if (written.tensors.size !== model.tensors.size) {
    throw new MullError(
      "internal",
      `The quantiser wrote ${written.tensors.size} of ${model.tensors.size} tensors of ${model.path}.`,
    );
  }
}

/** The quantiser does not say why a write failed; one more write does. */
async function describeWriteFailure(unfinished: string): Promise<unknown> {
  try {
    await appendFile(unfinished, new Uint8Array(2 ** 20));
    return new MullError("store_unavailable", `${unfinished} could not be written.`, {
      hint: "The disk may be damaged, or was full for a moment. Try again.",
    });
  } catch (cause) {
    const error = writeError(unfinished, cause);
    if (MullError.is(error)) return error;
    return new MullError("store_unavailable", `${unfinished} could not be written: ${String(cause)}`, {
      cause,
    });
  }
}
