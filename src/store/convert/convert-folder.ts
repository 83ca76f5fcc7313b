import { rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Gguf } from "../../gguf/gguf.ts";
import { TENSOR_TYPES, tensorBytes } from "../../gguf/tensor-types.ts";
import { validateProjector } from "../../gguf/validate-projector.ts";
import { validateTextModel } from "../../gguf/validate-text-model.ts";
import { writeGguf } from "../../gguf/write.ts";
import { MullError } from "../../spec/errors.ts";
import type { ConvertOptions, ConvertedModel } from "./convert-options.ts";
import { mainType } from "./general-keys.ts";
import { type ConversionPlan, planConversion } from "./plan-conversion.ts";
import type { FilePlan, PlannedTensor } from "./planned-tensor.ts";
import { ChunkBuffers, type ValueCounts, streamTensor } from "./stream-tensor.ts";

export interface ConvertFolderOptions extends ConvertOptions {
  signal?: AbortSignal | undefined;
  /** Bytes written of those to write. */
  onProgress?: (completedBytes: number, totalBytes: number) => void;
  /** Called before anything is written, with the names that files have until they are complete. */
  onFiles?: (paths: readonly string[]) => void;
}

/**
 * Converts a folder of safetensors, LLaVA or text-only, to GGUF, in this process: `convertModel` does it in one of its
 * own. Memory stays flat however large the tensors are. A failure leaves no file behind.
 *
 * @throws MullError as `convertModel`
 */
export async function convertFolder(
  folder: string,
  outputFolder: string,
  options: ConvertFolderOptions,
): Promise<ConvertedModel> {
  const plan = await planConversion(folder, options);
  const files = outputFiles(plan, resolve(outputFolder));
  for (const { path, content } of files) validate(path, content);
  options.onFiles?.(files.map(({ partial }) => partial));
  try {
    const warnings = [...plan.warnings, ...(await writeFiles(files, options))];
    // All or nothing: what an earlier conversion left under these names stays until now.
    for (const { partial, path } of files) await rename(partial, path);
    const [model, projector] = files.map(({ path }) => path);
    return { model: model as string, projector, warnings };
  } catch (error) {
    // Where this fails, too, the first error says why.
    for (const { partial } of files) await rm(partial, { force: true }).catch(() => {});
    throw diskError(error, outputFolder);
  }
}

interface OutputFile {
  path: string;
  /** Its name until all is written. */
  partial: string;
  content: FilePlan;
}

/** Names as llama.cpp's converter gives them. */
function outputFiles({ model, projector, name }: ConversionPlan, folder: string): OutputFile[] {
  const safe =
    name
      .replaceAll(/[^\w.-]+/g, "-")
      .replace(/^[.-]+/, "")
      .slice(0, 100) || "model";
  const file = (prefix: string, content: FilePlan): OutputFile => {
    const path = join(folder, `${prefix}${safe}-${mainType(content.tensors).toUpperCase()}.gguf`);
    return { path, partial: `${path}.${process.pid}.partial`, content };
  };
  return [file("", model), ...(projector === undefined ? [] : [file("mmproj-", projector)])];
}

/** What the reader would refuse is refused before gigabytes are written. */
function validate(path: string, { kind, metadata, tensors }: FilePlan): void {
  const infos = tensors.map(({ name, type, shape }) => {
    const bytes = tensorBytes(type, shape);
    return [name, { name, type, typeId: TENSOR_TYPES[type].id, shape, bytes, offset: 0, path }] as const;
  });
  const gguf = new Gguf({
    path,
    paths: [path],
    version: 3,
    alignment: 32,
    fileBytes: infos.reduce((sum, [, { bytes }]) => sum + bytes, 0),
    metadata,
    tensors: new Map(infos),
  });
  if (kind === "model") validateTextModel(gguf);
  else validateProjector(gguf);
}

async function writeFiles(
  files: readonly OutputFile[],
  { signal, onProgress }: ConvertFolderOptions,
): Promise<readonly string[]> {
  const warnings: string[] = [];
  let total = files.reduce((sum, { content }) => sum + bytesOf(content.tensors), 0);
  let completed = 0;
  const onBytes = (bytes: number): void => onProgress?.((completed += bytes), total);
  for (const { partial, content } of files) {
    const counts = await writeFile(partial, content, signal, onBytes);
    const overflowed = content.tensors.filter(({ name }) => (counts.get(name)?.overflowed ?? 0) > 0);
    if (overflowed.length > 0) {
      // Hardly ever: weights beyond 65504 are rare. Then the file is written again, with these in their own type.
      const widened = { ...content, tensors: content.tensors.map((tensor) => keepType(tensor, overflowed)) };
      total += bytesOf(widened.tensors);
      await writeFile(partial, widened, signal, onBytes);
    }
    warnings.push(...overflowed.map(({ name, type }) => overflowWarning(name, type, counts)));
    warnings.push(...nonFiniteWarnings(content.tensors, counts));
  }
  return warnings;
}

async function writeFile(
  path: string,
  { metadata, tensors }: FilePlan,
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<ReadonlyMap<string, ValueCounts>> {
  const counts = new Map<string, ValueCounts>(
    tensors.map(({ name }) => [name, { nonFinite: 0, overflowed: 0 }]),
  );
  const buffers = new ChunkBuffers();
  const sources = tensors.map((tensor) => ({
    name: tensor.name,
    type: tensor.type,
    shape: tensor.shape,
    data: async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of streamTensor(tensor, counts.get(tensor.name) as ValueCounts, buffers)) {
        yield chunk;
        onBytes(chunk.length);
      }
    },
  }));
  await writeGguf(path, { metadata, tensors: sources }, signal === undefined ? {} : { signal });
  return counts;
}

function keepType(tensor: PlannedTensor, overflowed: readonly PlannedTensor[]): PlannedTensor {
  return overflowed.includes(tensor) ? { ...tensor, type: tensor.stored } : tensor;
}

function overflowWarning(name: string, type: string, counts: ReadonlyMap<string, ValueCounts>): string {
  const count = counts.get(name)?.overflowed ?? 0;
  return `${name} keeps its type: ${count} of its values are too large for ${type}.`;
}

function nonFiniteWarnings(
  tensors: readonly PlannedTensor[],
  counts: ReadonlyMap<string, ValueCounts>,
): readonly string[] {
  return tensors.flatMap(({ name }) => {
    const count = counts.get(name)?.nonFinite ?? 0;
    return count === 0 ? [] : [`${name} holds ${count} values that are infinite or not a number.`];
  });
}

function bytesOf(tensors: readonly PlannedTensor[]): number {
  return tensors.reduce((sum, { type, shape }) => sum + tensorBytes(type, shape), 0);
}

function diskError(error: unknown, folder: string): MullError {
  const { code } = error as NodeJS.ErrnoException;
  if (MullError.is(error)) return error;
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") {
    return new MullError("insufficient_storage", `${folder} has no room for the converted model.`, {
      cause: error,
    });
  }
  if (code === undefined) return MullError.wrap(error);
  return new MullError("store_unavailable", `${folder} cannot be written (${code}).`, { cause: error });
}
