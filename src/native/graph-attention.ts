import type { TensorPointer } from "./ggml.ts";
import { ROPE } from "./ggml-operations.ts";
import { GraphArithmetic } from "./graph-arithmetic.ts";
import { type Shape, type Tensor, countElements, isCount, requireShape } from "./tensor.ts";

export interface RopeOptions {
  /** Base of the frequencies: pair i turns by position * base^(-2i / dimensions). */
  base: number;
  /** `normal` turns neighbours (0 with 1, 2 with 3), `neox` the halves (0 with dimensions / 2). Default `normal`. */
  pairs?: "normal" | "neox";
  /** How many columns are turned; the others stay as they are. Even. Default: all from `offset` on. */
  dimensions?: number;
  /** The first column that is turned. Even. Default 0. */
  offset?: number;
  /** Times every frequency. Default 1. */
  frequencyScale?: number;
}

export interface RopeMultiOptions {
  /** Base of the frequencies. */
  base: number;
  /**
   * `vision`: column i is turned with column i + columns / 2, and every section starts again with the highest
   * frequency (the encoders of Qwen2-VL and GLM-4V). `mrope`: the same pairs, one row of frequencies across all
   * sections (Qwen2-VL's text model).
   */
  mode: "vision" | "mrope";
  /**
   * How many pairs turn by the first, second, third and fourth of a row's positions; past the last one it starts
   * again. Default: a quarter of the columns each, of which `vision` reaches the first two.
   */
  sections?: readonly [number, number, number, number];
}

export interface Rope2dOptions {
  base: number;
  /** As in `RopeOptions`, within each half. */
  pairs?: "normal" | "neox";
  /**
   * False: both halves have the same frequencies (Kimi-VL, Llama 4, Gemma 4). True: those of one row of frequencies
   * in turns, the first half the even ones (Pixtral). Default false.
   */
  alternate?: boolean;
}

/** What stretches rope beyond a context trained on, all of it off: ext_factor, attn_factor, beta_fast, beta_slow. */
const NO_YARN = [0, 1, 0, 0] as const;

/** Attention and positions. */
export abstract class GraphAttention extends GraphArithmetic {
  readonly #halfMasks = new Map<TensorPointer, Tensor>();

  /**
   * Every row: exp(scale * x + mask) divided by the row's sum of it.
   *
   * @param x [keys, queries, heads, batch]
   * @param mask f32 or f16 [keys, queries, 1 or heads, 1 or batch], 0 or -Infinity; a row of nothing but -Infinity
   *   becomes NaN
   */
  softmax(x: Tensor, scale: number, mask?: Tensor): Tensor {
    requireShape(x.type === "f32" && x.contiguous, "softmax", x);
    if (mask !== undefined) requireShape(isMask(mask, x.shape), "softmax with a mask", x, mask);
    return this.dense(x.shape, () =>
      this.ggml.softMaxExt(this.context, x.pointer, mask?.pointer ?? null, scale, 0),
    );
  }

  /**
   * Attention as one fused operation, whose scores never leave the cache.
   *
   * @param q f32 [head columns, queries, heads, batch]
   * @param k f32 or f16 [head columns, keys, key heads, batch]; heads are a multiple of key heads
   * @param v [value columns, keys, key heads, batch], of k's type
   * @param mask f32 or f16 [keys, queries, 1 or heads, 1 or batch], added to the scores in half precision, in which
   *   0 and -Infinity are exact; a row of nothing but -Infinity becomes 0
   * @returns [value columns, heads, queries, batch]
   */
  flashAttention(q: Tensor, k: Tensor, v: Tensor, scale: number, mask?: Tensor): Tensor {
    const [headColumns, queries, heads, batch] = q.shape;
    const [valueColumns, keys, keyHeads] = v.shape;
    const sameRows = ([, ...rows]: Shape): boolean =>
      rows[0] === keys && rows[1] === keyHeads && rows[2] === batch;
    const fits =
      k.shape[0] === headColumns && sameRows(k.shape) && sameRows(v.shape) && heads % keyHeads === 0;
    const typed = q.type === "f32" && k.type === v.type && (k.type === "f32" || k.type === "f16");
    const plain = [q, k, v].every(({ rowsContiguous }) => rowsContiguous);
    requireShape(fits && typed && plain, "flashAttention", q, k, v);
    const half = mask && this.#halfMask(mask, [keys, queries, heads, batch]);
    this.multiplications += (headColumns + valueColumns) * queries * heads * batch * keys;
    return this.dense([valueColumns, heads, queries, batch], () =>
      this.ggml.flashAttnExt(
        ...([this.context, q.pointer, k.pointer, v.pointer, half?.pointer ?? null] as const),
        ...([scale, 0, 0] as const),
      ),
    );
  }

  /** Every block of an encoder uses the same mask, which is converted once. */
  #halfMask(mask: Tensor, scores: Shape): Tensor {
    requireShape(isMask(mask, scores), "flashAttention with a mask", mask);
    let half = this.#halfMasks.get(mask.pointer);
    if (half === undefined) {
      half = this.cast(mask, "f16");
      this.#halfMasks.set(mask.pointer, half);
    }
    return half;
  }

  /**
   * Rotary position embedding. Su et al. 2021, "RoFormer".
   *
   * @param x [head columns, heads, rows, batch]
   * @param positions int32 [rows], the same for all of the batch
   */
  rope(x: Tensor, positions: Tensor, options: RopeOptions): Tensor {
    const { base, pairs = "normal", offset = 0, frequencyScale = 1 } = options;
    const { dimensions = x.shape[0] - offset } = options;
    const even = [offset, dimensions, x.shape[0]].every((columns) => columns % 2 === 0);
    const inside = isCount(offset, 0) && isCount(dimensions, 2) && offset + dimensions <= x.shape[0];
    const fits = positions.shape[0] === x.shape[2] && countElements(positions.shape) === x.shape[2];
    requireShape(even && inside && fits && isRopeInput(x, positions, base), "rope", x, positions);
    return this.dense(x.shape, () =>
      this.ggml.ropeSetOffset(
        this.ggml.ropeExt(
          ...([this.context, x.pointer, positions.pointer, null] as const),
          ...([dimensions, ROPE[pairs], 0, base, frequencyScale, ...NO_YARN] as const),
        ),
        offset,
      ),
    );
  }

  /**
   * Rope in a plane: the first half of the columns turns by one position, the second half by the other.
   *
   * @param x [head columns, heads, rows, batch], head columns a multiple of 4
   * @param first int32 [rows]
   * @param second int32 [rows]
   */
  rope2d(x: Tensor, first: Tensor, second: Tensor, options: Rope2dOptions): Tensor {
    const { base, pairs = "normal", alternate = false } = options;
    const dimensions = x.shape[0] / 2;
    // Frequency 2i + 1 of a row twice as long is frequency i of this half's row, times this.
    const frequencyScale = alternate ? base ** (-1 / dimensions) : 1;
    const half = this.rope(x, first, { base, pairs, dimensions });
    return this.rope(half, second, { base, pairs, dimensions, offset: dimensions, frequencyScale });
  }

  /**
   * Rope with up to four positions per row. Wang et al. 2024, "Qwen2-VL", section 2.1.
   *
   * @param x [head columns, heads, rows, batch], head columns a multiple of 4
   * @param positions int32 [4 * rows]: the first position of every row, then the second of every row, …
   */
  ropeMulti(x: Tensor, positions: Tensor, { base, mode, sections }: RopeMultiOptions): Tensor {
    const columns = x.shape[0];
    const quarter = columns / 4;
    const lengths = sections ?? [quarter, quarter, quarter, quarter];
    const whole = lengths.every((length) => isCount(length, 0)) && columns % 4 === 0;
    const some = lengths[0] + lengths[1] + lengths[2] > 0;
    const few = lengths.reduce((sum, length) => sum + length, 0) <= columns;
    const rows = 4 * x.shape[2];
    const fits = positions.shape[0] === rows && countElements(positions.shape) === rows;
    const holds = whole && some && few && fits && isRopeInput(x, positions, base);
    requireShape(holds, `ropeMulti with sections ${lengths.join(", ")}`, x, positions);
    const dimensions = mode === "vision" ? columns / 2 : columns;
    return this.dense(x.shape, () =>
      this.ggml.ropeMulti(
        ...([this.context, x.pointer, positions.pointer, null, dimensions] as const),
        ...([Int32Array.from(lengths), mode === "vision" ? ROPE.vision : ROPE.multi, 0] as const),
        ...([base, 1, ...NO_YARN] as const),
      ),
    );
  }
}

function isRopeInput(x: Tensor, positions: Tensor, base: number): boolean {
  const plain = x.type === "f32" && x.rowsContiguous && positions.rowsContiguous;
  return plain && positions.type === "i32" && base > 0 && base < Infinity;
}

/** @param scores [keys, queries, heads, batch] */
function isMask({ type, shape, contiguous }: Tensor, [keys, queries, heads, batch]: Shape): boolean {
  const repeatable = heads % shape[2] === 0 && batch % shape[3] === 0;
  const fits = shape[0] === keys && shape[1] === queries && repeatable;
  return fits && contiguous && (type === "f32" || type === "f16");
}
