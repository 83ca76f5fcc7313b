import { TENSOR_TYPES } from "../gguf/tensor-types.ts";
import { INTERPOLATION, POOL } from "./ggml-operations.ts";
import { GraphAttention } from "./graph-attention.ts";
import { type Shape, type Tensor, isCount, requireShape } from "./tensor.ts";

/** One number for width and height, or one for each. */
export type Pair = number | readonly [width: number, height: number];

export interface WindowOptions {
  /** Steps from one window to the next. Default 1. */
  stride?: Pair;
  /** Zeros on each side, fewer than the window is long. Default 0. */
  padding?: Pair;
  /** Steps from one element of a window to the next. Default 1. */
  dilation?: Pair;
}

export interface ConvolutionOptions extends WindowOptions {
  /** f32 [outputs] */
  bias?: Tensor;
}

export interface PoolOptions {
  window: Pair;
  /** Default: the window, so that windows lie side by side. */
  stride?: Pair;
  /** Zeros on each side, fewer than the window is long; an average counts them. Default 0. */
  padding?: Pair;
}

export interface InterpolateOptions {
  /** Bicubic with a = -0.75, as in PyTorch. */
  filter: "bilinear" | "bicubic";
  /** The outermost pixels keep their places, not the outer edges. Default false. */
  alignCorners?: boolean;
  /** Widens the filter where the result is smaller. Only bilinear. Default false. */
  antialias?: boolean;
}

const FLOATS: ReadonlySet<string> = new Set(["f32", "f16", "bf16"]);
/** Past this, float32 no longer tells the places of neighbouring pixels apart. */
const LONGEST_SIDE = 65_536;
/** ggml counts windows in float32 when it pools, and their elements in 32 bits. */
const LONGEST_POOLED_SIDE = 2 ** 20;
const LARGEST_WINDOW = 2 ** 30;
/** ggml keeps the size of one picture in 32 bits. */
const MOST_PICTURE_BYTES = 2 ** 31;

/** Operations on pictures [width, height, channels, batch] and on sound [length, channels, 1, batch]. */
export abstract class GraphConvolution extends GraphAttention {
  /**
   * Cuts pictures into the squares that a convolution with its own width as stride would see, as
   * `torch.nn.functional.unfold` does.
   *
   * @param image [width, height, channels, batch], both sides multiples of the square's
   * @param square its side, or a kernel [side, side, channels, outputs] of which only the shape matters
   * @returns [side * side * channels, columns of squares, rows of squares, batch]; inside a square in the order of the
   *   kernel: columns, then rows, then channels
   */
  squares(image: Tensor, square: Tensor | number): Tensor {
    const [width, height, channels] = image.shape;
    const kernel = typeof square === "number" ? this.create("f32", [square, square, channels]) : square;
    const [across, down] = kernel.shape;
    requireShape(width % across === 0 && height % down === 0, "squares", image, kernel);
    return this.#windows("squares", image, kernel, { stride: [across, down] });
  }

  /**
   * PyTorch's Conv2d without groups.
   *
   * @param x [width, height, channels, batch]
   * @param kernel f32, f16 or bf16 [kernel width, kernel height, channels, outputs]
   * @returns [width, height, outputs, batch], both sides as many as there are windows
   */
  conv2d(x: Tensor, kernel: Tensor, options: ConvolutionOptions = {}): Tensor {
    return this.contiguous(this.permute(this.conv2dRows(x, kernel, options), [2, 0, 1, 3]));
  }

  /** `conv2d` as rows for what comes after it: [outputs, width, height, batch]. Saves the copy into planes. */
  conv2dRows(x: Tensor, kernel: Tensor, options: ConvolutionOptions = {}): Tensor {
    const [across, down, channels, outputs] = kernel.shape;
    requireShape(kernel.contiguous, "conv2d", x, kernel);
    const windows = this.#windows("conv2d", x, kernel, options);
    return this.linear(windows, this.reshape(kernel, across * down * channels, outputs), options.bias);
  }

  /**
   * PyTorch's Conv1d without groups.
   *
   * @param x [length, channels, 1, batch]
   * @param kernel f32, f16 or bf16 [kernel length, channels, outputs]
   * @returns [length, outputs, 1, batch], as long as there are windows
   */
  conv1d(x: Tensor, kernel: Tensor, options: ConvolutionOptions = {}): Tensor {
    return this.contiguous(this.permute(this.conv1dRows(x, kernel, options), [1, 0, 2, 3]));
  }

  /** `conv1d` as rows for what comes after it: [outputs, length, 1, batch]. Saves the copy into planes. */
  conv1dRows(x: Tensor, kernel: Tensor, options: ConvolutionOptions = {}): Tensor {
    const { stride = 1, padding = 0, dilation = 1, bias } = options;
    const [length, channels, depth, batch] = x.shape;
    const numbers = [stride, padding, dilation].every((value) => typeof value === "number");
    requireShape(numbers && depth === 1 && kernel.shape[3] === 1, "conv1d", x, kernel);
    return this.conv2dRows(
      this.reshape(x, length, 1, channels, batch),
      this.reshape(kernel, kernel.shape[0], 1, kernel.shape[1], kernel.shape[2]),
      {
        stride: [pair(stride)[0], 1],
        padding: [pair(padding)[0], 0],
        dilation: [pair(dilation)[0], 1],
        ...(bias === undefined ? {} : { bias }),
      },
    );
  }

  /**
   * PyTorch's Conv2d with as many groups as channels: every channel has a kernel of its own.
   *
   * @param x [width, height, channels, batch]
   * @param kernel f32 or f16 [kernel width, kernel height, 1, channels]
   * @param options bias [channels]
   * @returns [width, height, channels, batch], both sides as many as there are windows
   */
  depthwiseConv2d(x: Tensor, kernel: Tensor, options: ConvolutionOptions = {}): Tensor {
    const channels = x.shape[2];
    const fits = kernel.shape[2] === 1 && kernel.shape[3] === channels;
    const typed = x.type === "f32" && (kernel.type === "f32" || kernel.type === "f16");
    requireShape(fits && typed && x.contiguous && kernel.contiguous, "depthwiseConv2d", x, kernel);
    const { counts, window } = slide("depthwiseConv2d", x, kernel, options);
    const shape: Shape = [...counts, channels, x.shape[3]];
    this.multiplications += kernel.shape[0] * kernel.shape[1] * counts[0] * counts[1] * channels * x.shape[3];
    const y = this.dense(shape, () =>
      this.ggml.conv2dDwDirect(this.context, kernel.pointer, x.pointer, ...window),
    );
    return options.bias === undefined ? y : this.add(y, this.reshape(options.bias, 1, 1, channels));
  }

  /** [kernel width * kernel height * channels, windows across, windows down, batch] */
  #windows(name: string, x: Tensor, kernel: Tensor, options: WindowOptions): Tensor {
    const [across, down, channels] = kernel.shape;
    const fits = channels === x.shape[2] && FLOATS.has(kernel.type) && x.type === "f32" && x.contiguous;
    requireShape(fits && x.strides[3] < MOST_PICTURE_BYTES, name, x, kernel);
    const { counts, window } = slide(name, x, kernel, options);
    return this.dense([across * down * channels, ...counts, x.shape[3]], () =>
      this.ggml.im2col(this.context, kernel.pointer, x.pointer, ...window, true, TENSOR_TYPES.f32.id),
    );
  }

  /**
   * The average or the largest number of every window. Windows that would reach past the end are left out.
   *
   * @param x [width, height, channels, batch]
   * @returns [windows across, windows down, channels, batch]
   */
  pool2d(x: Tensor, kind: "average" | "max", options: PoolOptions): Tensor {
    const size = pair(options.window);
    const { stride = size, padding = 0 } = options;
    const small = x.shape[0] <= LONGEST_POOLED_SIDE && x.shape[1] <= LONGEST_POOLED_SIDE;
    const possible = small && size[0] * size[1] <= LARGEST_WINDOW;
    requireShape(possible && x.type === "f32" && x.contiguous, "pool2d", x);
    const { counts, window } = slide("pool2d", x, { ...x, shape: [...size, 1, 1] }, { stride, padding });
    const [strideX, strideY, paddingX, paddingY] = window;
    return this.dense([...counts, x.shape[2], x.shape[3]], () =>
      this.ggml.pool2d(
        ...([this.context, x.pointer, POOL[kind], ...size] as const),
        ...([strideX, strideY, paddingX, paddingY] as const),
      ),
    );
  }

  /**
   * `pool2d` along the first dimension only: x [length, …] → [windows, …].
   *
   * @param stride default: the window
   */
  pool1d(x: Tensor, kind: "average" | "max", window: number, stride: number = window): Tensor {
    return this.pool2d(x, kind, { window: [window, 1], stride: [stride, 1] });
  }

  /**
   * Other sizes of pictures, as `torch.nn.functional.interpolate` makes them.
   *
   * @param x [any width, any height, channels, batch]
   * @returns [width, height, channels, batch]
   */
  interpolate(x: Tensor, width: number, height: number, options: InterpolateOptions): Tensor {
    const { filter, alignCorners = false, antialias = false } = options;
    const sides = [x.shape[0], x.shape[1], width, height];
    const short = sides.every((side) => isCount(side, 1) && side <= LONGEST_SIDE);
    const possible = short && (filter === "bilinear" || !antialias);
    requireShape(possible && x.type === "f32" && x.contiguous, `interpolate to ${width}, ${height}`, x);
    const mode =
      INTERPOLATION[filter] +
      (alignCorners ? INTERPOLATION.alignCorners : 0) +
      (antialias ? INTERPOLATION.antialias : 0);
    const shape: Shape = [width, height, x.shape[2], x.shape[3]];
    return this.dense(shape, () => this.ggml.interpolate(this.context, x.pointer, ...shape, mode));
  }
}

/** How many windows of a kernel's size fit, and what ggml wants to know about them. */
function slide(name: string, x: Tensor, kernel: Tensor, options: WindowOptions) {
  const [strideX, strideY] = pair(options.stride ?? 1);
  const [paddingX, paddingY] = pair(options.padding ?? 0);
  const [dilationX, dilationY] = pair(options.dilation ?? 1);
  const count = (axis: 0 | 1, stride: number, padding: number, dilation: number): number => {
    const [length, size] = [x.shape[axis], kernel.shape[axis]];
    const reach = dilation * (size - 1) + 1;
    const whole = isCount(size, 1) && isCount(stride, 1) && isCount(padding, 0) && isCount(dilation, 1);
    const short = padding <= LONGEST_SIDE && dilation <= LONGEST_SIDE;
    requireShape(whole && short && padding < reach && length + 2 * padding >= reach, name, x, kernel);
    return Math.floor((length + 2 * padding - reach) / stride) + 1;
  };
  const counts: [number, number] = [
    count(0, strideX, paddingX, dilationX),
    count(1, strideY, paddingY, dilationY),
  ];
  return {
    counts,
    window: [strideX, strideY, paddingX, paddingY, dilationX, dilationY] as const,
  };
}

function pair(value: Pair): readonly [number, number] {
  return typeof value === "number" ? [value, value] : value;
}
