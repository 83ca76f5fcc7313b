import { TENSOR_TYPES, type TensorTypeName } from "../gguf/tensor-types.ts";
import { MullError } from "../spec/errors.ts";

/** A way to store all weights of a text model, by the name that Ollama and llama.cpp have for it. */
export interface Quantization {
  /** Such as "q4_K_M". */
  name: string;
  /** `enum llama_ftype`, which is also `general.file_type`. */
  fileType: number;
  /** Type of most matrices. The mixtures (`_S`, `_M`, `_L`) store some of them in more bits. */
  tensorType: TensorTypeName;
}

export interface QuantizeOptions {
  /** A GGUF file; of a split model the first part. */
  input: string;
  /** All parts of a split model in order, where their names do not say so. `input` is the first of them. */
  splitFiles?: readonly string[];
  /** One file, with all of a split model in it. */
  output: string;
  /** One of `QUANTIZATIONS`, in any case; of a projector `q8_0`, `f16` or `bf16`. */
  type: string;
  /** The input is a projector (mmproj). Default false: a text model. */
  projector?: boolean;
  /** Quantise what is quantised already, although it loses more than quantising the original. Default false. */
  allowRequantize?: boolean;
  /** Default: one per physical core. */
  threads?: number;
  signal?: AbortSignal;
  /** Called with bytes of the input's weights. */
  onProgress?: (completedBytes: number, totalBytes: number) => void;
}

export interface QuantizedFile {
  /** Size of the output. */
  bytes: number;
  /** As the types are named, such as "q4_K_M". */
  type: string;
}

const FILE_TYPES: readonly (readonly [name: string, fileType: number, tensorType: TensorTypeName])[] = [
  ["q4_0", 2, "q4_0"],
  ["q4_1", 3, "q4_1"],
  ["q5_0", 8, "q5_0"],
  ["q5_1", 9, "q5_1"],
  ["q8_0", 7, "q8_0"],
  ["q2_K", 10, "q2_K"],
  ["q3_K_S", 11, "q3_K"],
  ["q3_K_M", 12, "q3_K"],
  ["q3_K_L", 13, "q3_K"],
  ["q4_K_S", 14, "q4_K"],
  ["q4_K_M", 15, "q4_K"],
  ["q5_K_S", 16, "q5_K"],
  ["q5_K_M", 17, "q5_K"],
  ["q6_K", 18, "q6_K"],
  ["iq4_nl", 25, "iq4_nl"],
  ["iq4_xs", 30, "iq4_xs"],
  ["f16", 1, "f16"],
  ["bf16", 32, "bf16"],
];

/** Every type that a text model can be quantised to. */
export const QUANTIZATIONS: readonly Quantization[] = FILE_TYPES.map(([name, fileType, tensorType]) => ({
  name,
  fileType,
  tensorType,
}));

/** Without an importance matrix, which mull does not compute, llama.cpp refuses these: they would give garbage. */
const NEED_IMPORTANCE = /^(iq1_s|iq1_m|iq2_xxs|iq2_xs|iq2_s|iq2_m|iq3_xxs|iq3_xs|q2_k_s)$/i;

/** What people write for a mixture of which there is no plain one, as llama.cpp reads it. */
const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ["q3_k", "q3_K_M"],
  ["q4_k", "q4_K_M"],
  ["q5_k", "q5_K_M"],
]);

/**
 * A type by name, in any case.
 * @throws MullError `invalid_argument` that lists the types there are
 */
export function parseQuantization(text: string): Quantization {
  const wanted = (SHORT_NAMES.get(text.toLowerCase()) ?? text).toLowerCase();
  const found = QUANTIZATIONS.find(({ name }) => name.toLowerCase() === wanted);
  if (found !== undefined) return found;
  const all = QUANTIZATIONS.map(({ name }) => name).join(", ");
  if (NEED_IMPORTANCE.test(wanted)) {
    throw new MullError(
      "invalid_argument",
      `The type "${text}" needs an importance matrix of the model, which mull cannot compute.`,
      { hint: `Types without one: ${all}.` },
    );
  }
  throw new MullError("invalid_argument", `There is no quantisation type "${text}".`, {
    hint: `Choose one of ${all}.`,
  });
}

/** Bits that a weight takes in a matrix of this type, scales included. */
export function bitsPerWeight(type: TensorTypeName): number {
  const { blockBytes, blockSize } = TENSOR_TYPES[type];
  return (blockBytes * 8) / blockSize;
}
