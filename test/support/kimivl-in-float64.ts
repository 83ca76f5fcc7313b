import { type PlainWeights, type Rows, add, apply, attend, gelu } from "./float64-rows.ts";
import type { KimiVlShape } from "./tiny-kimivl.ts";

/**
 * Kimi-VL's encoder and projector as its own code has them (modeling_kimi_vl.py: MoonVitPretrainedModel,
 * KimiVLMultiModalProjector), in float64.
 *
 * @param planes (3, height, width)
 */
export function encodeKimiVlInFloat64(
  weights: PlainWeights,
  planes: Float32Array,
  size: { width: number; height: number },
  shape: KimiVlShape,
): Rows {
  const { patchSize, embedding, heads } = shape;
  const [across, down] = [size.width / patchSize, size.height / patchSize];
  const width = embedding / heads;
  const norm = (rows: Rows, name: string): Rows => weights.norm(rows, name, 1e-5, "layer");
  /** Rope2DPosEmb: complex numbers 2i turn by the column, 2i + 1 by the row. */
  const turn = (rows: Rows): Rows =>
    rows.map((row, patch) =>
      row.map((value, column) => {
        const pair = Math.floor((column % width) / 2);
        const place = pair % 2 === 0 ? patch % across : Math.floor(patch / across);
        const angle = place / 10_000 ** ((4 * Math.floor(pair / 2)) / width);
        const other = row[column % 2 === 0 ? column + 1 : column - 1] ?? Number.NaN;
        return value * Math.cos(angle) + (column % 2 === 0 ? -other : other) * Math.sin(angle);
      }),
    );
  let rows = weights.patches(planes, size, patchSize);
  rows = add(rows, positions(weights.get("v.position_embd.weight"), shape, down, across));
  for (let index = 0; index < shape.blocks; index++) {
    const block = `v.blk.${index}`;
    const input = norm(rows, `${block}.ln1`);
    const of = (name: string): Rows => weights.linear(input, `${block}.attn_${name}`);
    const attended = attend(turn(of("q")), turn(of("k")), of("v"), heads);
    rows = add(rows, weights.linear(attended, `${block}.attn_out`));
    const hidden = apply(weights.linear(norm(rows, `${block}.ln2`), `${block}.ffn_up`), geluTanh);
    rows = add(rows, weights.linear(hidden, `${block}.ffn_down`));
  }
  rows = norm(norm(rows, "v.post_ln"), "mm.input_norm");
  const squares = Array.from({ length: rows.length / 4 }, (_, square) => {
    const y = 2 * Math.floor(square / (across / 2));
    const x = 2 * (square % (across / 2));
    return [0, 1, across, across + 1].flatMap((step) => rows[y * across + x + step] ?? []);
  });
  return weights.linear(apply(weights.linear(squares, "mm.1"), gelu), "mm.2");
}

/** PyTorch's bicubic interpolate: Keys with a = -0.75, edges repeated, no antialiasing. */
function positions(table: Float32Array, shape: KimiVlShape, down: number, across: number): Rows {
  const { positionsPerSide: side, embedding } = shape;
  const shares = (count: number, index: number): [line: number, share: number][] => {
    if (down === side && across === side) return [[index, 1]];
    const centre = ((index + 0.5) * side) / count - 0.5;
    const first = Math.floor(centre) - 1;
    return [0, 1, 2, 3].map((step) => [
      Math.min(side - 1, Math.max(0, first + step)),
      cubic(Math.abs(centre - first - step)),
    ]);
  };
  return Array.from({ length: down * across }, (_, patch) =>
    Array.from({ length: embedding }, (__, column) => {
      let sum = 0;
      for (const [y, shareDown] of shares(down, Math.floor(patch / across))) {
        for (const [x, shareAcross] of shares(across, patch % across)) {
          sum += shareDown * shareAcross * (table[(y * side + x) * embedding + column] ?? Number.NaN);
        }
      }
      return sum;
    }),
  );
}

function cubic(x: number): number {
  const a = -0.75;
  if (x <= 1) return (a + 2) * x ** 3 - (a + 3) * x ** 2 + 1;
  return x < 2 ? a * x ** 3 - 5 * a * x ** 2 + 8 * a * x - 4 * a : 0;
}

const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044_715 * x ** 3)));
