import { readGguf } from "../../src/gguf/read.ts";
import { writeGguf } from "../../src/gguf/write.ts";

/** Writes a model anew in parts of a few tensors each. @returns the paths of the parts, in order */
export async function splitModel(
  from: string,
  to: string,
  maxTensorsPerFile: number,
): Promise<readonly string[]> {
  const gguf = await readGguf(from);
  const tensors = [...gguf.tensors.values()].map((info) => ({
    name: info.name,
    type: info.type,
    shape: info.shape,
    data: async function* () {
      yield await gguf.readTensor(info);
    },
  }));
  return writeGguf(to, { metadata: gguf.metadata, tensors }, { maxTensorsPerFile });
}
