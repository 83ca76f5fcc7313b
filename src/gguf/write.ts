import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type TensorShape, encodeHeader } from "./encode-header.ts";
import { type MetadataValue, int32, uint16 } from "./metadata.ts";
import { MullError } from "../spec/errors.ts";
import { DEFAULT_ALIGNMENT, align } from "./parse-header.ts";
import { publishFile, writeError } from "./publish-file.ts";
import { splitName } from "./split-names.ts";
import { tensorBytes } from "./tensor-types.ts";

export interface TensorSource extends TensorShape {
  /**
   * The bytes of the tensor in the layout of its type, or a function that yields them in chunks of any size,
   * called once when their turn has come. A chunk may be overwritten as soon as the next one is asked for.
   */
  data: Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
}

export interface GgufSource {
  /** In file order. `general.alignment` (uint32), if there, is obeyed. */
  metadata: Readonly<Record<string, MetadataValue>> | ReadonlyMap<string, MetadataValue>;
  tensors: readonly TensorSource[];
}

export interface WriteGgufOptions {
  /** Cut the model into files `name-00001-of-00003.gguf` of at most this many tensors. Default: one file. */
  maxTensorsPerFile?: number;
  signal?: AbortSignal;
}

/**
 * Writes a GGUF model, version 3. Memory stays flat however large the tensors are. Each file appears under
 * its name only when it is complete and on disk.
 *
 * @returns the paths written, in order
 * @throws MullError `invalid_argument` if a tensor yields more or fewer bytes than its shape and type say;
 *   `insufficient_storage` when the disk is full; `aborted`
 */
export async function writeGguf(
  path: string,
  source: GgufSource,
  options: WriteGgufOptions = {},
): Promise<readonly string[]> {
  const metadata =
    source.metadata instanceof Map ? source.metadata : new Map(Object.entries(source.metadata));
  await mkdir(dirname(path), { recursive: true });
  const { maxTensorsPerFile = Infinity, signal } = options;
  if (maxTensorsPerFile >= source.tensors.length) {
    await writeFile(path, metadata, source.tensors, signal);
    return [path];
  }
  const count = Math.ceil(source.tensors.length / maxTensorsPerFile);
  const paths: string[] = [];
  for (let index = 0; index < count; index++) {
    const partPath = splitName(path.replace(/\.gguf$/, ""), index + 1, count);
    const tensors = source.tensors.slice(index * maxTensorsPerFile, (index + 1) * maxTensorsPerFile);
    const splitKeys: [string, MetadataValue][] = [
      ["split.no", uint16(index)],
      ["split.count", uint16(count)],
      ["split.tensors.count", int32(source.tensors.length)],
    ];
    await writeFile(partPath, new Map([...(index === 0 ? metadata : []), ...splitKeys]), tensors, signal);
    paths.push(partPath);
  }
  return paths;
}

async function writeFile(
  path: string,
  metadata: ReadonlyMap<string, MetadataValue>,
  tensors: readonly TensorSource[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const alignmentEntry = metadata.get("general.alignment");
  const alignment = alignmentEntry?.type === "uint32" ? alignmentEntry.value : DEFAULT_ALIGNMENT;
  const unfinished = `${path}.${process.pid}.unfinished`;
  const handle = await open(unfinished, "wx");
  try {
    await writeAll(handle, encodeHeader(metadata, tensors, alignment));
    for (const tensor of tensors) {
      const bytes = await writeTensor(handle, tensor, signal);
      await writeAll(handle, new Uint8Array(align(bytes, alignment) - bytes));
    }
    await handle.close();
    await publishFile(unfinished, path);
  } catch (error) {
    await handle.close();
    await rm(unfinished, { force: true });
    throw writeError(path, error);
  }
}

async function writeTensor(
  handle: FileHandle,
  tensor: TensorSource,
  signal: AbortSignal | undefined,
): Promise<number> {
  const expected = tensorBytes(tensor.type, tensor.shape);
  let written = 0;
  for await (const chunk of tensor.data instanceof Uint8Array ? [tensor.data] : tensor.data()) {
    if (signal?.aborted) throw new MullError("aborted", "Writing the model was cancelled.");
    written += chunk.length;
    if (written > expected) break;
    await writeAll(handle, chunk);
  }
  if (written === expected) return expected;
  throw new MullError(
    "invalid_argument",
    `tensor ${tensor.name} of type ${tensor.type} and shape [${tensor.shape.join(", ")}] takes ${expected} bytes, ` +
      `but its data has ${written > expected ? "more" : written}`,
  );
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}
