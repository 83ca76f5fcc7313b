import type { QwenProjectorShape } from "./tiny-qwen.ts";

type Rows = number[][];
export type PlainWeights = ReadonlyMap<string, { shape: readonly number[]; values: Float32Array }>;

/**
 * Qwen-VL's encoder as transformers has it (modeling_qwen2_vl.py, modeling_qwen2_5_vl.py, modeling_qwen3_vl.py), in
 * float64, with loops and nothing else. Nothing is put in another order: windows are asked for, patch by patch.
 *
 * @param planes (3, height, width)
 * @returns rows of the text model's input in raster order
 */
export function encodeQwenInFloat64(
  weights: PlainWeights,
  planes: Float32Array,
  size: { width: number; height: number },
  shape: QwenProjectorShape,
): Rows {
  const { type, patchSize, embedding, heads } = shape;
  const across = size.width / patchSize;
  const down = size.height / patchSize;
  const values = (name: string): Float32Array | undefined => weights.get(name)?.values;
  const need = (name: string): Float32Array => {
    const found = values(name);
    if (found === undefined) throw new Error(`no ${name}`);
    return found;
  };
  const linear = (rows: Rows, name: string): Rows => {
    const weight = need(`${name}.weight`);
    const bias = values(`${name}.bias`);
    const inputs = rows[0]?.length ?? 0;
    const outputs = weight.length / inputs;
    return rows.map((row) =>
      Array.from({ length: outputs }, (_, output) => {
        let sum = bias?.[output] ?? 0;
        for (let input = 0; input < inputs; input++) {
          sum += (row[input] ?? Number.NaN) * (weight[output * inputs + input] ?? Number.NaN);
        }
        return sum;
      }),
    );
  };
  const norm = (rows: Rows, name: string): Rows => {
    const weight = need(`${name}.weight`);
    const bias = values(`${name}.bias`);
    const isRms = type === "qwen2.5vl_merger";
    return rows.map((row) => {
      const mean = isRms ? 0 : row.reduce((sum, value) => sum + value, 0) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      return row.map(
        (value, x) =>
          ((value - mean) / Math.sqrt(variance + 1e-6)) * (weight[x] ?? Number.NaN) + (bias?.[x] ?? 0),
      );
    });
  };
  const add = (a: Rows, b: Rows): Rows =>
    a.map((row, y) => row.map((value, x) => value + (b[y]?.[x] ?? Number.NaN)));
  const apply = (rows: Rows, f: (x: number) => number): Rows => rows.map((row) => row.map(f));

  /** transformers: apply_rotary_pos_emb_vision with VisionRotaryEmbedding(head width / 2). */
  const rotate = (rows: Rows): Rows => {
    const width = embedding / heads;
    return rows.map((row, patch) => {
      const [y, x] = [Math.floor(patch / across), patch % across];
      return row.map((value, column) => {
        const inHead = column % width;
        const pair = inHead % (width / 2);
        const frequency = pair % (width / 4);
        const angle = (pair < width / 4 ? y : x) / 10_000 ** (frequency / (width / 4));
        const isFirst = inHead < width / 2;
        const other = row[isFirst ? column + width / 2 : column - width / 2] ?? Number.NaN;
        return value * Math.cos(angle) + (isFirst ? -other : other) * Math.sin(angle);
      });
    });
  };
  /** @param sees whether one patch sees another */
  const attend = (q: Rows, k: Rows, v: Rows, sees: (a: number, b: number) => boolean): Rows => {
    const width = embedding / heads;
    return q.map((query, a) => {
      const result = Array.from({ length: embedding }, () => 0);
      for (let start = 0; start < embedding; start += width) {
        const scores = k.map((key, b) => {
          if (!sees(a, b)) return 0;
          let sum = 0;
          for (let x = start; x < start + width; x++) {
            sum += (query[x] ?? Number.NaN) * (key[x] ?? Number.NaN);
          }
          return Math.exp(sum / Math.sqrt(width));
        });
        const total = scores.reduce((sum, score) => sum + score, 0);
        for (const [b, score] of scores.entries()) {
          if (score < 1e-30) continue;
          const value = v[b] ?? [];
          for (let x = start; x < start + width; x++) {
            result[x] = (result[x] ?? 0) + (score / total) * (value[x] ?? Number.NaN);
          }
        }
      }
      return result;
    });
  };
  const windowOf = (patch: number): string => {
    const side = Math.floor((shape.windowSize ?? 112) / patchSize / 2) * 2;
    return `${Math.floor(patch / across / side)} ${Math.floor((patch % across) / side)}`;
  };
  /** The patches of every square of 2 x 2 beside each other. */
  const join = (rows: Rows): Rows =>
    Array.from({ length: rows.length / 4 }, (_, square) => {
      const y = 2 * Math.floor(square / (across / 2));
      const x = 2 * (square % (across / 2));
      return [0, 1, across, across + 1].flatMap((step) => rows[y * across + x + step] ?? []);
    });

  let rows: Rows = Array.from({ length: across * down }, (_, patch) =>
    Array.from({ length: embedding }, (__, output) => {
      let sum = values("v.patch_embd.bias")?.[output] ?? 0;
      for (let inside = 0; inside < 3 * patchSize ** 2; inside++) {
        const channel = Math.floor(inside / patchSize ** 2);
        const y = Math.floor(patch / across) * patchSize + (Math.floor(inside / patchSize) % patchSize);
        const x = (patch % across) * patchSize + (inside % patchSize);
        const pixel = planes[(channel * size.height + y) * size.width + x] ?? Number.NaN;
        // Both frames of the moment are the same picture.
        for (const frame of ["v.patch_embd.weight", "v.patch_embd.weight.1"]) {
          sum += pixel * (need(frame)[output * 3 * patchSize ** 2 + inside] ?? Number.NaN);
        }
      }
      return sum;
    }),
  );
  if (type === "qwen3vl_merger")
    rows = add(rows, positions(need("v.position_embd.weight"), shape, down, across));
  const deep: Rows[] = [];
  for (let index = 0; index < shape.blocks; index++) {
    const block = `v.blk.${index}`;
    const normed = norm(rows, `${block}.ln1`);
    const project = (letter: string, third: number): Rows =>
      weights.has(`${block}.attn_qkv.weight`)
        ? linear(normed, `${block}.attn_qkv`).map((row) =>
            row.slice(third * embedding, (third + 1) * embedding),
          )
        : linear(normed, `${block}.attn_${letter}`);
    const seesAll = type !== "qwen2.5vl_merger" || index % shape.wholePattern === shape.wholePattern - 1;
    const attended = attend(
      rotate(project("q", 0)),
      rotate(project("k", 1)),
      project("v", 2),
      (a, b) => seesAll || windowOf(a) === windowOf(b),
    );
    rows = add(rows, linear(attended, `${block}.attn_out`));
    const input = norm(rows, `${block}.ln2`);
    const [up, down] = shape.legacy ? ["ffn_down", "ffn_up"] : ["ffn_up", "ffn_down"];
    const hidden = linear(input, `${block}.${up}`);
    const gate = type === "qwen2.5vl_merger" ? linear(input, `${block}.ffn_gate`) : [];
    const active =
      type === "qwen2.5vl_merger"
        ? hidden.map((row, y) => row.map((value, x) => value * silu(gate[y]?.[x] ?? Number.NaN)))
        : apply(hidden, type === "qwen3vl_merger" ? geluTanh : geluQuick);
    rows = add(rows, linear(active, `${block}.${down}`));
    if (weights.has(`v.deepstack.${index}.fc1.weight`)) {
      const name = `v.deepstack.${index}`;
      deep.push(linear(apply(linear(norm(join(rows), `${name}.norm`), `${name}.fc1`), gelu), `${name}.fc2`));
    }
  }
  const main = linear(apply(linear(join(norm(rows, "v.post_ln")), "mm.0"), gelu), "mm.2");
  return main.map((row, place) => [...row, ...deep.flatMap((more) => more[place] ?? [])]);
}

/** transformers: Qwen3VLVisionModel.fast_pos_embed_interpolate, one place at a time. */
function positions(
  table: Float32Array,
  { positionsPerSide: side, embedding }: QwenProjectorShape,
  down: number,
  across: number,
): Rows {
  const share = (at: number, line: number): number => Math.max(0, 1 - Math.abs(at - line));
  return Array.from({ length: down * across }, (_, patch) => {
    const y = (Math.floor(patch / across) * (side - 1)) / (down - 1);
    const x = ((patch % across) * (side - 1)) / (across - 1);
    return Array.from({ length: embedding }, (__, column) => {
      let sum = 0;
      for (let row = 0; row < side; row++) {
        for (let line = 0; line < side; line++) {
          sum +=
            share(y, row) * share(x, line) * (table[(row * side + line) * embedding + column] ?? Number.NaN);
        }
      }
      return sum;
    });
  });
}

const silu = (x: number): number => x / (1 + Math.exp(-x));
const geluQuick = (x: number): number => x / (1 + Math.exp(-1.702 * x));
const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044_715 * x ** 3)));
const gelu = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));

/** Maclaurin series; exact to float64 rounding for the arguments that occur here. */
function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-20; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
