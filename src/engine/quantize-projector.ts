import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { dequantize } from "../gguf/dequantize.ts";
import type { Gguf } from "../gguf/gguf.ts";
import type { TensorInfo } from "../gguf/layout.ts";
import { type MetadataValue, uint32 } from "../gguf/metadata.ts";
import { quantize } from "../gguf/quantize.ts";
import { readGguf } from "../gguf/read.ts";
import { TENSOR_TYPES, tensorBytes } from "../gguf/tensor-types.ts";
import { validateProjector } from "../gguf/validate-projector.ts";
import { type TensorSource, writeGguf } from "../gguf/write.ts";
import { MullError } from "../spec/errors.ts";
import type { QuantizeOptions, QuantizedFile } from "./quantization.ts";
import { requireFreeSpace, requireOtherFile } from "./quantize-target.ts";

type ProjectorType = "q8_0" | "f16" | "bf16";

/** `enum llama_ftype` */
const FILE_TYPES: Readonly<Record<ProjectorType, number>> = { q8_0: 7, f16: 1, bf16: 32 };
/** Of the block formats: GGML_QNT_VERSION. */
const QUANTIZATION_VERSION = 2;
/** What encoders multiply with. Patches, positions, norms and biases are small, and matter more. */
const MATRIX = /^(v\.blk\.\d+\.(attn|ffn)_\w+|mm\.\w+)\.weight$/;
const SOURCE_TYPES: readonly string[] = ["f32", "f16", "bf16"];
/** Rows are converted in pieces of about this many weights. */
const PIECE_WEIGHTS = 2 ** 20;

/**
 * Writes a projector (mmproj) anew with smaller matrices; everything that is not multiplied with, and matrices whose
 * rows are no whole blocks, stays as it is. llama.cpp's quantiser takes text models only.
 *
 * @throws MullError `invalid_argument` for a type other than q8_0, f16 and bf16, or matrices that are quantised already;
 *   `model_not_found`, `invalid_model`, `insufficient_storage`, `aborted`
 */
export async function quantizeProjector(
  options: Omit<QuantizeOptions, "projector" | "threads">,
): Promise<QuantizedFile> {
  const type = parseProjectorType(options.type);
  const { signal, onProgress = () => {} } = options;
  signal?.throwIfAborted();
  const output = resolve(options.output);
  const projector = await readGguf(
    options.splitFiles?.map((path) => resolve(path)) ?? resolve(options.input),
  );
  validateProjector(projector);
  requireSource(projector, output, type, options.allowRequantize ?? false);
  const total = [...projector.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  let completed = 0;
  onProgress(0, total);
  const read = (bytes: number): void => onProgress((completed += bytes), total);
  const tensors = [...projector.tensors.values()].map((info) => convert(projector, info, type, read, signal));
  await mkdir(dirname(output), { recursive: true });
  await requireFreeSpace(
    output,
    tensors.reduce((sum, { type: stored, shape }) => sum + tensorBytes(stored, shape), 0),
  );
  const metadata = newMetadata(projector, type);
  await writeGguf(output, { metadata, tensors }, signal === undefined ? {} : { signal });
  return { bytes: (await stat(output)).size, type };
}

export function parseProjectorType(text: string): ProjectorType {
  const type = text.toLowerCase();
  if (Object.hasOwn(FILE_TYPES, type)) return type as ProjectorType;
  throw new MullError("invalid_argument", `A projector cannot be stored as "${text}".`, {
    hint: `Choose one of ${Object.keys(FILE_TYPES).join(", ")}: with fewer bits it sees too little.`,
  });
}

function requireSource(projector: Gguf, output: string, type: string, allowRequantize: boolean): void {
  requireOtherFile(projector, output);
  const packed = [...projector.tensors.values()].find(
    (info) => MATRIX.test(info.name) && !SOURCE_TYPES.includes(info.type),
  );
  const readable = packed === undefined || packed.type === "q8_0" || packed.type === "q4_0";
  if (packed === undefined || packed.type === type || (allowRequantize && readable)) return;
  throw new MullError(
    "invalid_argument",
    `${projector.path} is quantised already: ${packed.name} is ${packed.type}. To ${type} from there would lose more than from the original.`,
    {
      hint: readable
        ? "Quantise the f16, bf16 or f32 projector, or allow it: --allow-requantize, or allowRequantize in code."
        : "Quantise the f16, bf16 or f32 projector.",
    },
  );
}

function convert(
  projector: Gguf,
  info: TensorInfo,
  wanted: ProjectorType,
  onRead: (bytes: number) => void,
  signal: AbortSignal | undefined,
): TensorSource {
  const [columns = 1] = info.shape;
  const fits = columns % TENSOR_TYPES[wanted].blockSize === 0;
  const isMatrix = info.shape.length === 2 && MATRIX.test(info.name);
  const type = isMatrix && fits ? wanted : info.type;
  const rowBytes = tensorBytes(info.type, [columns]);
  const pieceBytes = Math.max(1, Math.floor(PIECE_WEIGHTS / columns)) * rowBytes;
  const options = signal === undefined ? {} : { signal };
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < info.bytes; start += pieceBytes) {
      const length = Math.min(pieceBytes, info.bytes - start);
      const bytes = await projector.readTensor(info, { start, length, ...options });
      yield type === info.type ? bytes : quantize(wanted, dequantize(info.type, bytes));
      onRead(length);
    }
  }
  return { name: info.name, type, shape: info.shape, data: pieces };
}

function newMetadata(projector: Gguf, type: ProjectorType): ReadonlyMap<string, MetadataValue> {
  const metadata = new Map(projector.metadata);
  for (const key of ["split.no", "split.count", "split.tensors.count"]) metadata.delete(key);
  metadata.set("general.file_type", uint32(FILE_TYPES[type]));
  if (type === "q8_0") metadata.set("general.quantization_version", uint32(QUANTIZATION_VERSION));
  return metadata;
}
