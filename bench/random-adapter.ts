import { type MetadataValue, float32, string } from "../src/gguf/metadata.ts";
import type { Gguf } from "../src/gguf/gguf.ts";
import { type TensorSource, writeGguf } from "../src/gguf/write.ts";
import { randomTensor } from "./random.ts";

export interface AdapterShape {
  rank: number;
  alpha: number;
  /** Names of the matrices that it changes. */
  tensors: readonly string[];
  seed: number;
  /** In place of, or beside, the usual keys; undefined leaves one out. */
  metadata?: Readonly<Record<string, MetadataValue | undefined>>;
}

/** Writes a LoRA adapter with random weights for a text model. */
export async function writeRandomAdapter(path: string, base: Gguf, shape: AdapterShape): Promise<void> {
  const { rank, alpha } = shape;
  let { seed } = shape;
  const keys: Record<string, MetadataValue | undefined> = {
    "general.type": string("adapter"),
    "general.architecture": string(base.requireString("general.architecture")),
    "adapter.type": string("lora"),
    "adapter.lora.alpha": float32(alpha),
    ...shape.metadata,
  };
  const metadata = Object.fromEntries(
    Object.entries(keys).filter((entry): entry is [string, MetadataValue] => entry[1] !== undefined),
  );
  const matrix = (name: string, inputs: number, outputs: number): TensorSource =>
    randomTensor({
      name,
      type: "f32",
      shape: [inputs, outputs],
      deviation: 1 / Math.sqrt(inputs),
      seed: seed++,
    });
  const tensors = shape.tensors.flatMap((name) => {
    const [inputs = 1, outputs = 1] = base.requireTensor(name).shape;
    return name === "token_embd.weight"
      ? [matrix(`${name}.lora_a`, rank, outputs), matrix(`${name}.lora_b`, rank, inputs)]
      : [matrix(`${name}.lora_a`, inputs, rank), matrix(`${name}.lora_b`, rank, outputs)];
  });
  await writeGguf(path, { metadata, tensors });
}
