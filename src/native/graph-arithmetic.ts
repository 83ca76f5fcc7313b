import { GraphShapes } from "./graph-shapes.ts";
import { type Shape, type Tensor, countElements, requireShape, sameShape } from "./tensor.ts";

/** Types for which every backend has a product with float32 rows. */
const WEIGHT_TYPES: ReadonlySet<string> = new Set(["f32", "f16", "bf16", "q8_0"]);

type Activation =
  | "gelu"
  | "geluErf"
  | "silu"
  | "relu"
  | "sigmoid"
  | "tanh"
  | "hardswish"
  | "hardsigmoid"
  | "sqr"
  | "sqrt";

/** Products, norms, and what is computed element by element. Everything returns float32. */
export abstract class GraphArithmetic extends GraphShapes {
  /** a + b; b is repeated along dimensions in which a is a multiple of it. */
  add(a: Tensor, b: Tensor): Tensor {
    return this.#elementwise("add", a, b);
  }

  /** a - b, element by element; b is repeated as in `add`. */
  sub(a: Tensor, b: Tensor): Tensor {
    return this.#elementwise("sub", a, b);
  }

  /** a * b, element by element; b is repeated as in `add`. */
  mul(a: Tensor, b: Tensor): Tensor {
    return this.#elementwise("mul", a, b);
  }

  /** a / b, element by element; b is repeated as in `add`. */
  div(a: Tensor, b: Tensor): Tensor {
    return this.#elementwise("div", a, b);
  }

  #elementwise(name: "add" | "sub" | "mul" | "div", a: Tensor, b: Tensor): Tensor {
    const fits = a.shape.every((length, index) => length % (b.shape[index] ?? 0) === 0);
    const plain = [a, b].every(({ type, rowsContiguous }) => type === "f32" && rowsContiguous);
    requireShape(fits && plain, name, a, b);
    return this.dense(a.shape, () => this.ggml[name](this.context, a.pointer, b.pointer));
  }

  /** x times a number, plus a number. */
  scale(x: Tensor, factor: number, bias = 0): Tensor {
    requireShape(x.type === "f32" && x.contiguous, "scale", x);
    return this.dense(x.shape, () => this.ggml.scaleBias(this.context, x.pointer, factor, bias));
  }

  /** Numbers below `min` become `min`, those above `max` become `max`. */
  clamp(x: Tensor, min: number, max: number): Tensor {
    requireShape(x.type === "f32" && x.contiguous && min <= max, "clamp", x);
    return this.dense(x.shape, () => this.ggml.clamp(this.context, x.pointer, min, max));
  }

  /**
   * weight [inputs, outputs, depth, batch], x [inputs, rows, …] → [outputs, rows, …]: x times the transposed weight,
   * which is repeated along the third and fourth dimension (each matrix several times, before the next one).
   */
  matmul(weight: Tensor, x: Tensor): Tensor {
    const [inputs, outputs, depth, batch] = weight.shape;
    const fits = x.shape[0] === inputs && x.shape[2] % depth === 0 && x.shape[3] % batch === 0;
    const plain =
      WEIGHT_TYPES.has(weight.type) && x.type === "f32" && x.rowsContiguous && weight.rowsContiguous;
    requireShape(fits && plain, "matmul", weight, x);
    const shape: Shape = [outputs, x.shape[1], x.shape[2], x.shape[3]];
    this.multiplications += inputs * countElements(shape);
    return this.dense(shape, () => this.ggml.mulMat(this.context, weight.pointer, x.pointer));
  }

  /** PyTorch's Linear: weight [inputs, outputs], bias [outputs], x [inputs, rows, …] → [outputs, rows, …]. */
  linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
    const product = this.matmul(weight, x);
    return bias === undefined ? product : this.add(product, bias);
  }

  /** Every row to mean 0 and deviation 1, then times weight, plus bias, each [columns]. */
  layerNorm(x: Tensor, epsilon: number, weight?: Tensor, bias?: Tensor): Tensor {
    const y = this.#norm("norm", x, epsilon, weight);
    return bias === undefined ? y : this.add(y, bias);
  }

  /** Every row divided by the root of its mean square, then times weight [columns]. */
  rmsNorm(x: Tensor, epsilon: number, weight?: Tensor): Tensor {
    return this.#norm("rmsNorm", x, epsilon, weight);
  }

  #norm(name: "norm" | "rmsNorm", x: Tensor, epsilon: number, weight?: Tensor): Tensor {
    const holds = x.type === "f32" && x.rowsContiguous && epsilon >= 0 && epsilon < Infinity;
    requireShape(holds, `${name} with epsilon ${epsilon}`, x);
    const y = this.dense(x.shape, () => this.ggml[name](this.context, x.pointer, epsilon));
    return weight === undefined ? y : this.mul(y, weight);
  }

  /** GELU by the tanh approximation. */
  gelu(x: Tensor): Tensor {
    return this.#activation("gelu", x);
  }

  /** GELU by its definition with the error function, as PyTorch's `nn.GELU()`. */
  geluErf(x: Tensor): Tensor {
    return this.#activation("geluErf", x);
  }

  /**
   * x * sigmoid(1.702 x), as in CLIP. It is silu under another scale; ggml computes silu with vector instructions in
   * float32, but its own quick GELU one element at a time from a half-precision table, which takes three times as long.
   */
  geluQuick(x: Tensor): Tensor {
    return this.scale(this.silu(this.scale(x, 1.702)), 1 / 1.702);
  }

  /** x * sigmoid(x) */
  silu(x: Tensor): Tensor {
    return this.#activation("silu", x);
  }

  /** max(x, 0) */
  relu(x: Tensor): Tensor {
    return this.#activation("relu", x);
  }

  /** 1 / (1 + exp(-x)) */
  sigmoid(x: Tensor): Tensor {
    return this.#activation("sigmoid", x);
  }

  tanh(x: Tensor): Tensor {
    return this.#activation("tanh", x);
  }

  /** x * hardSigmoid(x) */
  hardSwish(x: Tensor): Tensor {
    return this.#activation("hardswish", x);
  }

  /** min(max(x + 3, 0), 6) / 6 */
  hardSigmoid(x: Tensor): Tensor {
    return this.#activation("hardsigmoid", x);
  }

  /** x * x */
  sqr(x: Tensor): Tensor {
    return this.#activation("sqr", x);
  }

  /** √x */
  sqrt(x: Tensor): Tensor {
    return this.#activation("sqrt", x);
  }

  #activation(name: Activation, x: Tensor): Tensor {
    requireShape(x.type === "f32" && x.contiguous, name, x);
    return this.dense(x.shape, () => this.ggml[name](this.context, x.pointer));
  }

  /** silu(gate) * up, two tensors of the same shape. Shazeer 2020, "GLU Variants Improve Transformer". */
  swiglu(gate: Tensor, up: Tensor): Tensor {
    const plain = [gate, up].every(({ type, contiguous }) => type === "f32" && contiguous);
    requireShape(plain && sameShape(gate.shape, up.shape), "swiglu", gate, up);
    return this.dense(gate.shape, () => this.ggml.swigluSplit(this.context, gate.pointer, up.pointer));
  }

  /**
   * `swiglu` of the two halves of every row: x [2 * columns, rows, …] → [columns, rows, …].
   *
   * @param gate which half goes through silu; Ultravox takes the second
   */
  swigluHalves(x: Tensor, gate: "first" | "second"): Tensor {
    const [columns, rows, depth, batch] = x.shape;
    requireShape(x.type === "f32" && x.contiguous && columns % 2 === 0, "swigluHalves", x);
    return this.dense([columns / 2, rows, depth, batch], () =>
      this.ggml[gate === "first" ? "swiglu" : "swigluSwapped"](this.context, x.pointer),
    );
  }
}
