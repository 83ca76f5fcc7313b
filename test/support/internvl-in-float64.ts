import { type PlainWeights, type Rows, add, apply, attend, gelu, multiply } from "./float64-rows.ts";
import type { InternVlShape } from "./tiny-internvl.ts";

/**
 * InternVL's encoder and projector as OpenGVLab/InternVL has them (modeling_intern_vit.py, modeling_internvl_chat.py
 * with ps_version v2), in float64.
 *
 * @param tile (3, imageSize, imageSize)
 */
export function encodeInternVlInFloat64(
  weights: PlainWeights,
  tile: Float32Array,
  shape: InternVlShape,
): Rows {
  const { imageSize, patchSize, embedding } = shape;
  const kind = shape.large ? "rms" : "layer";
  const patches = weights.patches(tile, { width: imageSize, height: imageSize }, patchSize);
  const positions = weights.get("v.position_embd.weight");
  const withClass: Rows = [[...weights.get("v.class_embd")], ...patches];
  let rows = withClass.map((row, y) =>
    row.map((value, x) => value + (positions[y * embedding + x] ?? Number.NaN)),
  );
  for (let index = 0; index < shape.blocks; index++) {
    const block = `v.blk.${index}`;
    const scaled = (name: string, of: Rows): Rows =>
      multiply(
        of,
        of.map(() => [...weights.get(`${block}.${name}.weight`)]),
      );
    const input = weights.norm(rows, `${block}.ln1`, 1e-6, kind);
    const of = (name: string): Rows => weights.linear(input, `${block}.attn_${name}`);
    const normed = (name: string): Rows =>
      shape.large ? weights.norm(of(name), `${block}.attn_${name}_norm`, 1e-6, "rms") : of(name);
    const attended = attend(normed("q"), normed("k"), of("v"), shape.heads);
    rows = add(rows, scaled("ls1", weights.linear(attended, `${block}.attn_out`)));
    const hidden = weights.linear(weights.norm(rows, `${block}.ln2`, 1e-6, kind), `${block}.ffn_up`);
    rows = add(rows, scaled("ls2", weights.linear(apply(hidden, gelu), `${block}.ffn_down`)));
  }
  const squares = weights.norm(
    shufflePixels(rows.slice(1), imageSize / patchSize),
    "mm.model.mlp.0",
    1e-5,
    "layer",
  );
  return weights.linear(apply(weights.linear(squares, "mm.model.mlp.1"), gelu), "mm.model.mlp.3");
}

/** pixel_shuffle(x, scale_factor=0.5), whose views and permutations come to this. */
function shufflePixels(rows: Rows, side: number): Rows {
  return Array.from({ length: rows.length / 4 }, (_, square) => {
    const y = 2 * Math.floor(square / (side / 2));
    const x = 2 * (square % (side / 2));
    return [0, 1, side, side + 1].flatMap((step) => rows[y * side + x + step] ?? []);
  });
}
