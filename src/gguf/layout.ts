import { invalidModel, quote } from "./invalid-model.ts";
import { type Header, type TensorHeader, align } from "./parse-header.ts";

/** A tensor and where its data lies. */
export interface TensorInfo extends Omit<TensorHeader, "dataOffset"> {
  /** Start of the data in its file, in bytes. */
  offset: number;
  /** The file that holds the data: one of the parts of a split model. */
  path: string;
}

/**
 * Places the tensors of one file. Their data must follow each other without overlap or gap, as native code
 * demands, and end within the file.
 */
export function placeTensors(path: string, header: Header, fileBytes: number): TensorInfo[] {
  let expected = 0;
  return header.tensors.map(({ dataOffset, ...tensor }) => {
    const what = `tensor ${quote(tensor.name)}`;
    if (dataOffset !== BigInt(expected)) {
      throw invalidModel(
        path,
        `${what} has offset ${dataOffset} ${misplaced(dataOffset, expected, header.alignment)}`,
      );
    }
    const offset = header.dataStart + expected;
    const end = offset + tensor.bytes;
    if (end > fileBytes) {
      throw invalidModel(
        path,
        `${what} ends at byte ${end}, but the file has only ${fileBytes} bytes`,
        "The file is cut off: the download or copy did not finish. Get it again.",
      );
    }
    expected = align(expected + tensor.bytes, header.alignment);
    return { ...tensor, offset, path };
  });
}

function misplaced(offset: bigint, expected: number, alignment: number): string {
  if (offset % BigInt(alignment) !== 0n) return `, which is not a multiple of the alignment ${alignment}`;
  return offset < BigInt(expected)
    ? `and overlaps the tensor before it (expected ${expected})`
    : `and leaves a gap behind the tensor before it (expected ${expected})`;
}
