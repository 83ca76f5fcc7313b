import { type PlainWeights, type Rows, add, apply, attend, gelu, multiply, silu } from "./float64-rows.ts";
import type { PixtralShape } from "./tiny-pixtral.ts";

/**
 * Pixtral's encoder and projector as transformers has them (modeling_pixtral.py, modeling_llava.py,
 * modeling_mistral3.py), in float64. Queries and keys are brought back to the order of columns that transformers has,
 * which the converter to GGUF changes, and turned there.
 *
 * @param planes (3, height, width)
 */
export function encodePixtralInFloat64(
  weights: PlainWeights,
  planes: Float32Array,
  size: { width: number; height: number },
  shape: PixtralShape,
): Rows {
  const { patchSize, embedding, heads, merge } = shape;
  const across = size.width / patchSize;
  const width = embedding / heads;
  /** Of column `column` of a head in transformers: where GGUF has it. */
  const placeInGguf = (column: number): number =>
    column < width / 2 ? 2 * column : 2 * (column - width / 2) + 1;
  const toTransformers = (rows: Rows): Rows =>
    rows.map((row) =>
      row.map((_, column) => row[column - (column % width) + placeInGguf(column % width)] ?? Number.NaN),
    );
  const frequencies = Array.from(
    { length: width / 2 },
    (_, index) => shape.ropeBase ** ((-2 * index) / width),
  );
  /** PixtralRotaryEmbedding: even frequencies for the row, odd ones for the column. */
  const angle = (patch: number, pair: number): number =>
    pair < width / 4
      ? Math.floor(patch / across) * (frequencies[2 * pair] ?? Number.NaN)
      : (patch % across) * (frequencies[2 * (pair - width / 4) + 1] ?? Number.NaN);
  /** apply_rotary_pos_emb with rotate_half. */
  const turn = (rows: Rows): Rows =>
    toTransformers(rows).map((row, patch) =>
      row.map((value, column) => {
        const inHead = column % width;
        const isFirst = inHead < width / 2;
        const other = row[isFirst ? column + width / 2 : column - width / 2] ?? Number.NaN;
        const turned = angle(patch, inHead % (width / 2));
        return value * Math.cos(turned) + (isFirst ? -other : other) * Math.sin(turned);
      }),
    );
  const norm = (rows: Rows, name: string): Rows => weights.norm(rows, name, 1e-5, "rms");

  let rows = norm(weights.patches(planes, size, patchSize), "v.pre_ln");
  for (let index = 0; index < shape.blocks; index++) {
    const block = `v.blk.${index}`;
    const input = norm(rows, `${block}.ln1`);
    const of = (name: string): Rows => weights.linear(input, `${block}.attn_${name}`);
    const attended = attend(turn(of("q")), turn(of("k")), of("v"), heads);
    rows = add(rows, weights.linear(attended, `${block}.attn_out`));
    const normed = norm(rows, `${block}.ln2`);
    const gate = apply(
      weights.linear(normed, `${block}.ffn_gate`),
      shape.activation === "silu" ? silu : gelu,
    );
    const hidden = multiply(gate, weights.linear(normed, `${block}.ffn_up`));
    rows = add(rows, weights.linear(hidden, `${block}.ffn_down`));
  }
  if (merge > 1) rows = weights.linear(unfold(norm(rows, "mm.input_norm"), across, merge), "mm.patch_merger");
  rows = weights.linear(apply(weights.linear(rows, "mm.1"), gelu), "mm.2");
  const columns = across / merge;
  const lineEnd = [...weights.get("v.token_embd.img_break")];
  return rows.flatMap((row, place) =>
    place % columns === columns - 1 && place < rows.length - 1 ? [row, lineEnd] : [row],
  );
}

/** torch.nn.functional.unfold of the grid of patches: column by column of the rows, the square in raster order. */
function unfold(rows: Rows, across: number, merge: number): Rows {
  const columns = across / merge;
  return Array.from({ length: rows.length / merge ** 2 }, (_, square) => {
    const top = Math.floor(square / columns) * merge;
    const left = (square % columns) * merge;
    return (rows[0] ?? []).flatMap((__, column) =>
      Array.from({ length: merge ** 2 }, (___, inside) => {
        const patch = (top + Math.floor(inside / merge)) * across + left + (inside % merge);
        return rows[patch]?.[column] ?? Number.NaN;
      }),
    );
  });
}
