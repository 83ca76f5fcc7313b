import { dequantize } from "../../src/gguf/dequantize.ts";
import type { Gguf } from "../../src/gguf/gguf.ts";
import type { SiglipShape } from "./tiny-siglip.ts";

type Rows = number[][];
interface Size {
  width: number;
  height: number;
}
type Weights = Map<string, { shape: readonly number[]; values: Float32Array }>;

export async function readWeights(gguf: Gguf): Promise<Weights> {
  const weights: Weights = new Map();
  for (const info of gguf.tensors.values()) {
    weights.set(info.name, { shape: info.shape, values: dequantize(info.type, await gguf.readTensor(info)) });
  }
  return weights;
}

/**
 * SigLIP and a projector in float64, with loops and nothing else.
 *
 * @param tile (3, height, width)
 * @param size of the tile, if it is not the encoder's square
 */
export function encodeInFloat64(
  weights: Weights,
  tile: Float32Array,
  shape: SiglipShape,
  size: Size = { width: shape.imageSize, height: shape.imageSize },
): Rows {
  const { embedding, heads, patchSize } = shape;
  const values = (name: string): Float32Array => {
    const weight = weights.get(name);
    if (weight === undefined) throw new Error(`no ${name}`);
    return weight.values;
  };
  const linear = (rows: Rows, name: string): Rows => {
    const [inputs = 0, outputs = 0] = weights.get(`${name}.weight`)?.shape ?? [];
    const weight = values(`${name}.weight`);
    const bias = weights.get(`${name}.bias`)?.values;
    return rows.map((row) =>
      Array.from({ length: outputs }, (_, output) => {
        let sum = bias?.[output] ?? 0;
        for (let input = 0; input < inputs; input++)
          sum += (row[input] as number) * (weight[output * inputs + input] as number);
        return sum;
      }),
    );
  };
  const norm = (rows: Rows, name: string, epsilon = 1e-6): Rows =>
    rows.map((row) => {
      const mean = average(row);
      const variance = average(row.map((value) => (value - mean) ** 2));
      const [weight, bias] = [values(`${name}.weight`), values(`${name}.bias`)];
      return row.map(
        (value, x) =>
          ((value - mean) / Math.sqrt(variance + epsilon)) * (weight[x] as number) + (bias[x] as number),
      );
    });

  const [side, down] = [size.width / patchSize, size.height / patchSize];
  const positions = resizeTable(values("v.position_embd.weight"), embedding, side, down);
  let rows = embedPatches(tile, values("v.patch_embd.weight"), shape, size).map((row, patch) =>
    row.map(
      (value, x) => value + (values("v.patch_embd.bias")[x] as number) + (positions[patch]?.[x] as number),
    ),
  );
  for (let index = 0; index < shape.blocks; index++) {
    const block = `v.blk.${index}`;
    const normed = norm(rows, `${block}.ln1`);
    const [q, k, v] = ["q", "k", "v"].map((name) => linear(normed, `${block}.attn_${name}`)) as [
      Rows,
      Rows,
      Rows,
    ];
    rows = add(rows, linear(attend(q, k, v, heads), `${block}.attn_out`));
    const hidden = linear(norm(rows, `${block}.ln2`), `${block}.ffn_up`);
    rows = add(
      rows,
      linear(
        hidden.map((row) => row.map(gelu)),
        `${block}.ffn_down`,
      ),
    );
  }
  rows = norm(rows, "v.post_ln");
  if (shape.projector === "idefics3") {
    return linear(shuffle(rows, side, shape.scaleFactor ?? NaN), "mm.model.fc");
  }
  const factor = shape.scaleFactor ?? 4;
  if (shape.projector === "lfm2") {
    const first = linear(norm(shuffle(rows, side, factor), "mm.input_norm", 1e-5), "mm.1");
    return linear(
      first.map((row) => row.map((x) => 0.5 * x * (1 + erf(x / Math.SQRT2)))),
      "mm.2",
    );
  }
  // The average of a square is that of what `shuffle` has joined.
  const pooled = shuffle(rows, side, factor).map((row) =>
    Array.from({ length: embedding }, (_, x) => average(row.filter((__, index) => index % embedding === x))),
  );
  const scale = values("mm.soft_emb_norm.weight");
  const normed = pooled.map((row) => {
    const root = Math.sqrt(average(row.map((value) => value ** 2)) + 1e-6);
    return row.map((value, x) => (value / root) * (scale[x] as number));
  });
  const projection = values("mm.input_projection.weight");
  return normed.map((row) =>
    Array.from({ length: shape.textEmbedding }, (_, output) =>
      row.reduce(
        (sum, value, input) => sum + value * (projection[input * shape.textEmbedding + output] as number),
        0,
      ),
    ),
  );
}

function embedPatches(
  tile: Float32Array,
  kernel: Float32Array,
  { patchSize, embedding }: SiglipShape,
  { width, height }: Size,
): Rows {
  const side = width / patchSize;
  return Array.from({ length: side * (height / patchSize) }, (_, patch) =>
    Array.from({ length: embedding }, (__, output) => {
      let sum = 0;
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < patchSize; y++) {
          for (let x = 0; x < patchSize; x++) {
            const row = Math.floor(patch / side) * patchSize + y;
            const column = (patch % side) * patchSize + x;
            const weight = kernel[((output * 3 + channel) * patchSize + y) * patchSize + x] as number;
            sum += (tile[(channel * height + row) * width + column] as number) * weight;
          }
        }
      }
      return sum;
    }),
  );
}

function attend(q: Rows, k: Rows, v: Rows, heads: number): Rows {
  const embedding = q[0]?.length ?? 0;
  const width = embedding / heads;
  return q.map((query) => {
    const result = Array.from({ length: embedding }, () => 0);
    for (let start = 0; start < embedding; start += width) {
      const scores = k.map((key) => {
        let sum = 0;
        for (let x = start; x < start + width; x++) sum += (query[x] as number) * (key[x] as number);
        return Math.exp(sum / Math.sqrt(width));
      });
      const total = scores.reduce((sum, score) => sum + score, 0);
      for (const [y, score] of scores.entries()) {
        for (let x = start; x < start + width; x++)
          result[x] = (result[x] as number) + (score / total) * (v[y]?.[x] as number);
      }
    }
    return result;
  });
}

/** A row for each square of `factor` x `factor` rows, which stand one after the other in it. */
function shuffle(rows: Rows, side: number, factor: number): Rows {
  const across = side / factor;
  return Array.from({ length: rows.length / factor ** 2 }, (_, index) => {
    const [top, left] = [Math.floor(index / across) * factor, (index % across) * factor];
    return Array.from({ length: factor * factor }, (__, place) => {
      const y = top + Math.floor(place / factor);
      return rows[y * side + left + (place % factor)] as number[];
    }).flat();
  });
}

/** A table of a square of positions, brought to another shape by PyTorch's antialiased bilinear interpolation. */
function resizeTable(table: Float32Array, columns: number, across: number, down: number): Rows {
  const side = Math.sqrt(table.length / columns);
  const weightsOf = (outputs: number): number[][] =>
    Array.from({ length: outputs }, (_, output) => {
      const scale = side / outputs;
      const stretch = Math.max(scale, 1);
      const centre = (output + 0.5) * scale;
      const raw = Array.from({ length: side }, (__, input) =>
        Math.max(0, 1 - Math.abs((input + 0.5 - centre) / stretch)),
      );
      const sum = raw.reduce((total, weight) => total + weight, 0);
      return raw.map((weight) => weight / sum);
    });
  const [x, y] = [weightsOf(across), weightsOf(down)];
  return y.flatMap((rows) =>
    x.map((places) =>
      Array.from({ length: columns }, (_, column) => {
        let total = 0;
        for (const [row, weight] of rows.entries()) {
          for (const [place, other] of places.entries())
            total += weight * other * (table[(row * side + place) * columns + column] as number);
        }
        return total;
      }),
    ),
  );
}

function erf(x: number): number {
  // Maclaurin series; exact to float64 rounding for the arguments that occur here.
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return Math.abs(x) > 5 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * sum;
}

const add = (a: Rows, b: Rows): Rows => a.map((row, y) => row.map((value, x) => value + (b[y]?.[x] ?? NaN)));

const average = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

const gelu = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** Of a row to the same row. */
export function smallestCosine(expected: Rows, actual: Float32Array): number {
  return Math.min(
    ...expected.map((row, y) => {
      let [product, a, b] = [0, 0, 0];
      for (const [x, value] of row.entries()) {
        const other = actual[y * row.length + x] ?? NaN;
        product += value * other;
        a += value * value;
        b += other * other;
      }
      return product / Math.sqrt(a * b);
    }),
  );
}
