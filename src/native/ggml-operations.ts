import type { TypeObject } from "koffi";
import type { Libraries } from "./libraries.ts";
import type { Pointer } from "./pointer.ts";

export type ContextPointer = Pointer<"ggml_context">;
export type TensorPointer = Pointer<"ggml_tensor">;

type Unary = (context: ContextPointer, a: TensorPointer) => TensorPointer;
type Binary = (context: ContextPointer, a: TensorPointer, b: TensorPointer) => TensorPointer;
/** With as many numbers as named. */
type WithNumbers<Numbers extends number[]> = (
  context: ContextPointer,
  a: TensorPointer,
  ...numbers: Numbers
) => TensorPointer;
type Four = [ne0: number, ne1: number, ne2: number, ne3: number];
/** Width before height in each. */
type Window = [
  stride0: number,
  stride1: number,
  padding0: number,
  padding1: number,
  dilation0: number,
  dilation1: number,
];
/** What stretches a context beyond the one trained on. */
type RopeScaling = [
  frequencyScale: number,
  extrapolation: number,
  attentionFactor: number,
  betaFast: number,
  betaSlow: number,
];

/** `enum ggml_op_pool` */
export const POOL = { max: 0, average: 1 } as const;
/** `enum ggml_scale_mode` with the flags of `enum ggml_scale_flag` that each can take. */
export const INTERPOLATION = { bilinear: 1, bicubic: 2, alignCorners: 256, antialias: 512 } as const;
/** `GGML_ROPE_TYPE_*` */
export const ROPE = { normal: 0, neox: 2, multi: 8, vision: 24 } as const;

/**
 * The operations of ggml.h, as far as mull uses them; names, order and meaning of arguments are those of the header.
 * Shapes are in ggml's order: `ne0` counts columns, the fastest dimension. Arguments that do not fit abort the
 * process, so only `Graph`, which checks them, calls these.
 */
export interface GgmlOperations {
  add: Binary;
  sub: Binary;
  mul: Binary;
  div: Binary;
  sqr: Unary;
  sqrt: Unary;
  /** a (k, n), b (k, m) → (n, m): every row of b times every row of a. */
  mulMat: Binary;
  norm: WithNumbers<[epsilon: number]>;
  rmsNorm: WithNumbers<[epsilon: number]>;
  scaleBias: WithNumbers<[factor: number, bias: number]>;
  clamp: WithNumbers<[min: number, max: number]>;
  gelu: Unary;
  geluErf: Unary;
  silu: Unary;
  relu: Unary;
  sigmoid: Unary;
  tanh: Unary;
  hardswish: Unary;
  hardsigmoid: Unary;
  /** silu(first half of each row) * second half */
  swiglu: Unary;
  /** silu(second half of each row) * first half */
  swigluSwapped: Unary;
  /** silu(a) * b */
  swigluSplit: Binary;

  cont: Unary;
  cast: WithNumbers<[type: number]>;
  repeat4d: WithNumbers<Four>;
  reshape4d: WithNumbers<Four>;
  /** Strides and offset in bytes. */
  view4d: WithNumbers<[...Four, nb1: number, nb2: number, nb3: number, offset: number]>;
  /** Dimension i of a becomes dimension axis_i of the result. */
  permute: WithNumbers<[axis0: number, axis1: number, axis2: number, axis3: number]>;
  /** Zeros before and after, of every dimension. */
  padExt: WithNumbers<[l0: number, r0: number, l1: number, r1: number, ...rest: Four]>;
  getRows: Binary;
  concat(context: ContextPointer, a: TensorPointer, b: TensorPointer, dimension: number): TensorPointer;

  softMaxExt(
    context: ContextPointer,
    a: TensorPointer,
    mask: TensorPointer | null,
    scale: number,
    maxBias: number,
  ): TensorPointer;
  flashAttnExt(
    context: ContextPointer,
    q: TensorPointer,
    k: TensorPointer,
    v: TensorPointer,
    mask: TensorPointer | null,
    scale: number,
    maxBias: number,
    logitSoftcap: number,
  ): TensorPointer;
  ropeExt(
    context: ContextPointer,
    a: TensorPointer,
    positions: TensorPointer,
    frequencyFactors: null,
    dimensions: number,
    mode: number,
    originalContext: number,
    base: number,
    ...scaling: RopeScaling
  ): TensorPointer;
  /** Changes and returns a result of `ropeExt`: which dimension is the first to be rotated. */
  ropeSetOffset(a: TensorPointer, offset: number): TensorPointer;
  ropeMulti(
    context: ContextPointer,
    a: TensorPointer,
    positions: TensorPointer,
    frequencyFactors: null,
    dimensions: number,
    sections: Int32Array,
    mode: number,
    originalContext: number,
    base: number,
    ...scaling: RopeScaling
  ): TensorPointer;

  im2col(
    context: ContextPointer,
    kernel: TensorPointer,
    image: TensorPointer,
    ...rest: [...Window, is2d: boolean, type: number]
  ): TensorPointer;
  conv2dDwDirect(
    context: ContextPointer,
    kernel: TensorPointer,
    image: TensorPointer,
    ...window: Window
  ): TensorPointer;
  pool2d: WithNumbers<[kind: number, k0: number, k1: number, s0: number, s1: number, p0: number, p1: number]>;
  interpolate: WithNumbers<[...Four, mode: number]>;
}

const pointer = "void *";

/** Declares the operations on the loaded library. */
export function declareGgmlOperations({ base }: Libraries): GgmlOperations {
  const declare = (name: string, parameters: (string | TypeObject)[]) =>
    base.func(`ggml_${name}`, pointer, parameters);
  /** The context, then that many tensors. */
  const tensors = (count: number) => times(count + 1, pointer);
  const unary = (name: string, ...rest: string[]) => declare(name, [...tensors(1), ...rest]);
  const binary = (name: string, ...rest: string[]) => declare(name, [...tensors(2), ...rest]);
  const ropeNumbers = times(6, "float");
  return {
    add: binary("add"),
    sub: binary("sub"),
    mul: binary("mul"),
    div: binary("div"),
    sqr: unary("sqr"),
    sqrt: unary("sqrt"),
    mulMat: binary("mul_mat"),
    norm: unary("norm", "float"),
    rmsNorm: unary("rms_norm", "float"),
    scaleBias: unary("scale_bias", "float", "float"),
    clamp: unary("clamp", "float", "float"),
    gelu: unary("gelu"),
    geluErf: unary("gelu_erf"),
    silu: unary("silu"),
    relu: unary("relu"),
    sigmoid: unary("sigmoid"),
    tanh: unary("tanh"),
    hardswish: unary("hardswish"),
    hardsigmoid: unary("hardsigmoid"),
    swiglu: unary("swiglu"),
    swigluSwapped: unary("swiglu_swapped"),
    swigluSplit: binary("swiglu_split"),

    cont: unary("cont"),
    cast: unary("cast", "int"),
    repeat4d: unary("repeat_4d", ...times(4, "int64")),
    reshape4d: unary("reshape_4d", ...times(4, "int64")),
    view4d: unary("view_4d", ...times(4, "int64"), ...times(4, "size_t")),
    permute: unary("permute", ...times(4, "int")),
    padExt: unary("pad_ext", ...times(8, "int")),
    getRows: binary("get_rows"),
    concat: binary("concat", "int"),

    softMaxExt: binary("soft_max_ext", "float", "float"),
    flashAttnExt: declare("flash_attn_ext", [...tensors(4), ...times(3, "float")]),
    ropeExt: declare("rope_ext", [...tensors(3), ...times(3, "int"), ...ropeNumbers]),
    ropeSetOffset: declare("rope_set_offset", [pointer, "int"]),
    ropeMulti: declare("rope_multi", [...tensors(3), "int", pointer, "int", "int", ...ropeNumbers]),

    im2col: binary("im2col", ...times(6, "int"), "bool", "int"),
    conv2dDwDirect: binary("conv_2d_dw_direct", ...times(6, "int")),
    pool2d: unary("pool_2d", ...times(5, "int"), ...times(2, "float")),
    interpolate: unary("interpolate", ...times(4, "int64"), "uint32"),
  };
}

function times(count: number, type: string): string[] {
  return Array.from({ length: count }, () => type);
}
