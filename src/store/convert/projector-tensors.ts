import type { Inventory } from "./inventory.ts";
import type { LlavaConfig } from "./llava-config.ts";
import { type OutputType, type PlannedTensor, matrix, storedType, vector } from "./planned-tensor.ts";
import type { StoredTensor } from "./safetensors.ts";
import type { VisionConfig } from "./vision-config.ts";

/**
 * Takes the tensors of vision tower and projector, under llama.cpp's names. Blocks behind the feature layer, and the
 * norm behind the last block, have no part in what the projector sees, and are left out.
 *
 * @param textEmbedding width of the text model's rows
 */
export function planProjectorTensors(
  inventory: Inventory,
  vision: VisionConfig,
  llava: LlavaConfig,
  textEmbedding: number,
  type: OutputType,
): PlannedTensor[] {
  const { embedding, feedForward, patchSize } = vision;
  const planned: PlannedTensor[] = [];
  const addVector = (name: string, sources: readonly StoredTensor[]): void => {
    for (const source of sources) planned.push(vector(name, source));
  };
  const norm = (from: string, to: string): void => {
    addVector(`${to}.weight`, inventory.take(`${from}.weight`, [embedding]));
    addVector(`${to}.bias`, inventory.take(`${from}.bias`, [embedding]));
  };
  const linear = (from: string, to: string, outputs: number, inputs: number): void => {
    for (const source of inventory.take(`${from}.weight`, [outputs, inputs])) {
      planned.push(matrix(`${to}.weight`, source, type));
    }
    addVector(`${to}.bias`, inventory.takeIfThere(`${from}.bias`, [outputs]));
  };

  const positions = Math.floor(vision.imageSize / patchSize) ** 2 + 1;
  const embeddings = "vision.embeddings";
  addVector("v.class_embd", inventory.take(`${embeddings}.class_embedding`, [embedding]));
  const kernel = inventory.take(`${embeddings}.patch_embedding.weight`, [embedding, 3, patchSize, patchSize]);
  for (const source of kernel) planned.push(patchKernel(source, type));
  addVector("v.patch_embd.bias", inventory.takeIfThere(`${embeddings}.patch_embedding.bias`, [embedding]));
  const table = inventory.take(`${embeddings}.position_embedding.weight`, [positions, embedding]);
  addVector("v.position_embd.weight", table);
  // transformers spells it so.
  norm(
    inventory.has("vision.pre_layrnorm.weight") ? "vision.pre_layrnorm" : "vision.pre_layernorm",
    "v.pre_ln",
  );
  // When a row is as wide inside as outside, readers cannot tell LLaVA's exchanged names from straight ones by the
  // shapes, and take them for exchanged.
  const [up, down] = feedForward === embedding ? ["ffn_down", "ffn_up"] : ["ffn_up", "ffn_down"];
  const used = Math.max(...llava.featureLayers);
  for (let index = 0; index < used; index++) {
    const [from, to] = [`vision.encoder.layers.${index}`, `v.blk.${index}`];
    norm(`${from}.layer_norm1`, `${to}.ln1`);
    linear(`${from}.self_attn.q_proj`, `${to}.attn_q`, embedding, embedding);
    linear(`${from}.self_attn.k_proj`, `${to}.attn_k`, embedding, embedding);
    linear(`${from}.self_attn.v_proj`, `${to}.attn_v`, embedding, embedding);
    linear(`${from}.self_attn.out_proj`, `${to}.attn_out`, embedding, embedding);
    norm(`${from}.layer_norm2`, `${to}.ln2`);
    linear(`${from}.mlp.fc1`, `${to}.${up}`, feedForward, embedding);
    linear(`${from}.mlp.fc2`, `${to}.${down}`, embedding, feedForward);
  }
  inventory.drop(/^vision\.post_layernorm\./);
  for (let index = used; index < vision.blocks; index++) {
    inventory.drop(new RegExp(`^vision\\.encoder\\.layers\\.${index}\\.`));
  }

  const features = embedding * llava.featureLayers.length;
  linear("projector.0", "mm.0", textEmbedding, features);
  if (llava.projector === "mlp") linear("projector.2", "mm.2", textEmbedding, textEmbedding);
  addVector("model.image_newline", inventory.takeIfThere("image_newline", [textEmbedding]));
  return planned;
}

/** llama.cpp convolves with f16 and f32 kernels only. */
function patchKernel(source: StoredTensor, type: OutputType): PlannedTensor {
  const wanted = type === "keep" ? storedType(source) : type;
  return { ...vector("v.patch_embd.weight", source), type: wanted === "f16" ? "f16" : "f32" };
}
