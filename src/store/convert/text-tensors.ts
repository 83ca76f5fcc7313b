import type { Inventory } from "./inventory.ts";
import { type OutputType, type PlannedTensor, matrix, vector } from "./planned-tensor.ts";
import { ropeFactors } from "./rope-scaling.ts";
import type { StoredTensor } from "./safetensors.ts";
import type { TextConfig } from "./text-config.ts";

/**
 * Takes the text model's tensors, under llama.cpp's names.
 *
 * Rotary positions turn pairs of values of a head. In transformers value i and value i + half are a pair; llama.cpp's
 * `llama` turns neighbours instead, so the rows of queries and keys (and their biases) are brought into that order. For
 * `qwen2` it turns the same pairs as transformers.
 *
 * @param rows tokens: rows of the embedding
 */
export function planTextTensors(
  inventory: Inventory,
  config: TextConfig,
  rows: number,
  type: OutputType,
): PlannedTensor[] {
  const { embedding, feedForward, heads, keyValueHeads, headLength } = config;
  const qwen = config.architecture === "qwen2";
  const planned: PlannedTensor[] = [];
  const addVector = (name: string, sources: readonly StoredTensor[], turned?: number): void => {
    for (const source of sources) planned.push(withHeads(vector(name, source), turned));
  };
  const addMatrix = (name: string, sources: readonly StoredTensor[], turned?: number): void => {
    for (const source of sources) planned.push(withHeads(matrix(name, source, type), turned));
  };

  addMatrix("token_embd.weight", inventory.take("model.embed_tokens.weight", [rows, embedding]));
  const factors = ropeFactors(config.ropeScaling, headLength, config.ropeBase);
  if (factors !== undefined) {
    planned.push({
      name: "rope_freqs.weight",
      type: "f32",
      stored: "f32",
      shape: [factors.length],
      source: factors,
    });
  }
  for (let index = 0; index < config.blocks; index++) {
    const [from, to] = [`model.layers.${index}`, `blk.${index}`];
    const linear = (
      fromName: string,
      toName: string,
      [outputs, inputs]: readonly [number, number],
      bias: "needed" | "optional" | "none",
      turned?: number,
    ): void => {
      addMatrix(
        `${to}.${toName}.weight`,
        inventory.take(`${from}.${fromName}.weight`, [outputs, inputs]),
        turned,
      );
      if (bias === "none") return;
      const take = bias === "needed" ? "take" : "takeIfThere";
      addVector(`${to}.${toName}.bias`, inventory[take](`${from}.${fromName}.bias`, [outputs]), turned);
    };
    const norm = (fromName: string, toName: string): void =>
      addVector(`${to}.${toName}.weight`, inventory.take(`${from}.${fromName}.weight`, [embedding]));
    const bias = qwen ? "needed" : "optional";
    const others = qwen ? "none" : "optional";
    const queries = heads * headLength;
    const keys = keyValueHeads * headLength;
    norm("input_layernorm", "attn_norm");
    linear("self_attn.q_proj", "attn_q", [queries, embedding], bias, qwen ? undefined : heads);
    linear("self_attn.k_proj", "attn_k", [keys, embedding], bias, qwen ? undefined : keyValueHeads);
    linear("self_attn.v_proj", "attn_v", [keys, embedding], bias);
    linear("self_attn.o_proj", "attn_output", [embedding, queries], others);
    norm("post_attention_layernorm", "ffn_norm");
    linear("mlp.gate_proj", "ffn_gate", [feedForward, embedding], others);
    linear("mlp.up_proj", "ffn_up", [feedForward, embedding], others);
    linear("mlp.down_proj", "ffn_down", [embedding, feedForward], others);
  }
  addVector("output_norm.weight", inventory.take("model.norm.weight", [embedding]));
  planOutput(inventory, config, [rows, embedding], addMatrix);
  return planned;
}

/** A model that is tied uses the token embedding; some files hold it twice nevertheless. */
function planOutput(
  inventory: Inventory,
  { tied }: TextConfig,
  shape: readonly number[],
  addMatrix: (name: string, sources: readonly StoredTensor[]) => void,
): void {
  const name = "lm_head.weight";
  if (inventory.has(name)) addMatrix("output.weight", inventory.take(name, shape));
  else if (tied !== true) inventory.take(name, shape);
}

function withHeads(tensor: PlannedTensor, heads: number | undefined): PlannedTensor {
  return heads === undefined ? tensor : { ...tensor, interleavedHeads: heads };
}
