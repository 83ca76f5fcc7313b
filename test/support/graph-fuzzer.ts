import { type Graph, type InputValues } from "../../src/native/graph.ts";
import { type Tensor, countElements } from "../../src/native/tensor.ts";
import { MullError } from "../../src/spec/errors.ts";

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ODD_NUMBERS = [0, -1, 1.5, NaN, Infinity, 2 ** 31, 2 ** 31 - 1, 2 ** 32 + 1, 1e300, 65_536];
const ACTIVATIONS = [
  "gelu",
  "geluErf",
  "geluQuick",
  "silu",
  "relu",
  "sigmoid",
  "tanh",
  "hardSwish",
  "hardSigmoid",
  "sqr",
  "sqrt",
] as const;
const MOST_ELEMENTS = 50_000;

/** Calls operations of a graph with operands of which many do not fit. */
export class GraphFuzzer {
  readonly #random: () => number;
  readonly #graph: Graph;
  readonly #tensors: Tensor[];
  readonly #inputs: Tensor[] = [];
  accepted = 0;
  refused = 0;

  constructor(seed: number, graph: Graph, weights: readonly Tensor[]) {
    this.#random = randomNumbers(seed);
    this.#graph = graph;
    this.#tensors = [...weights];
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #choose<Item>(items: readonly Item[]): Item {
    return items[this.#below(items.length)] as Item;
  }

  /** A small number; now and then one that nobody should pass. */
  #number(): number {
    return this.#random() < 0.03
      ? this.#choose(ODD_NUMBERS)
      : 1 + this.#below(this.#choose([1, 2, 4, 8, 33]));
  }

  #numbers(count: number): number[] {
    return Array.from({ length: count }, () => this.#number());
  }

  #maybe<Value>(value: Value): Value | undefined {
    return this.#random() < 0.5 ? value : undefined;
  }

  /** Any tensor; more often one that fits to `like`. */
  #tensor(fits?: (candidate: Tensor) => boolean): Tensor {
    const fitting = fits === undefined ? [] : this.#tensors.filter(fits);
    return this.#choose(fitting.length > 0 && this.#random() < 0.8 ? fitting : this.#tensors);
  }

  /** A new input, of random lengths unless they are given. */
  #input(type: "f32" | "i32", lengths: readonly number[] = this.#numbers(this.#below(5))): Tensor {
    const count = lengths.reduce((product, length) => product * length, 1);
    // A large one is legal, and would take memory.
    const used = count > MOST_ELEMENTS && count < Infinity ? [2, 3] : lengths;
    const tensor = type === "f32" ? this.#graph.input(...used) : this.#graph.inputInt32(...used);
    this.#inputs.push(tensor);
    this.#tensors.push(tensor);
    return tensor;
  }

  #axes(): [number, number, number, number] {
    const axes = [0, 1, 2, 3].toSorted(() => this.#random() - 0.5) as [number, number, number, number];
    if (this.#random() < 0.05) axes[this.#below(4)] = this.#number();
    return axes;
  }

  #window(): { stride: number; padding: number; dilation: number } {
    return { stride: this.#number(), padding: this.#below(3), dilation: 1 + this.#below(2) };
  }

  #operation(): Tensor {
    const graph = this.#graph;
    const x = this.#tensor(({ type }) => type === "f32");
    const [columns, rows, depth, batch] = x.shape;
    const number = this.#number();
    const same = (other: Tensor): boolean => other.shape.every((length, axis) => length === x.shape[axis]);
    const mask = this.#maybe(this.#tensor(({ shape }) => shape[0] === columns && shape[1] === rows));
    const operations: (() => Tensor)[] = [
      () => this.#input(this.#choose(["f32", "i32"])),
      () => graph.constant(new Float32Array(countElements(x.shape)), ...x.shape),
      () => graph.constant(new Int32Array(this.#below(5)), ...this.#numbers(1)),
      () => graph[this.#choose(["add", "sub", "mul", "div"] as const)](x, this.#tensor(same)),
      () => graph.scale(x, number, this.#number()),
      () => graph.clamp(x, this.#number(), this.#number()),
      () =>
        graph.matmul(
          this.#tensor(({ shape }) => shape[0] === columns),
          x,
        ),
      () => graph.layerNorm(x, number, this.#maybe(this.#tensor(({ shape }) => shape[0] === columns))),
      () => graph.rmsNorm(x, this.#choose([1e-6, 0, -1, NaN])),
      () => graph[this.#choose(ACTIVATIONS)](x),
      () => graph.swiglu(x, this.#tensor(same)),
      () => graph.swigluHalves(x, this.#choose(["first", "second"])),
      () => graph.reshape(x, ...this.#axes().map((axis) => x.shape[axis as 0] ?? number)),
      () => graph.reshape(x, columns * rows, depth * batch),
      () => graph.reshape(this.#tensor(), ...this.#numbers(this.#below(6))),
      () => graph.permute(this.#tensor(), this.#axes()),
      () => graph.permute(x, this.#axes()),
      () => graph.contiguous(this.#tensor()),
      () => graph.cast(x, this.#choose(["f16", "bf16", "f32"])),
      () => graph.cast(this.#tensor(), this.#choose(["f16", "bf16", "f32"])),
      () =>
        graph.slice(this.#tensor(), this.#choose([0, 1, 2, 3, 4, -1]), this.#number() - 1, this.#number()),
      () => graph.slice(x, this.#below(4), this.#below(2), 1 + this.#below(2)),
      () =>
        graph.getRows(
          this.#tensor(),
          this.#tensor(({ type }) => type === "i32"),
        ),
      () => graph.getRows(x, this.#input("i32", [1 + this.#below(5), depth, batch])),
      () => graph.concat(x, this.#tensor(same), this.#choose([0, 1, 2, 3, 4, NaN])),
      () => graph.repeat(x, ...x.shape.map((length) => length * this.#choose([1, 1, 1, 2, number]))),
      () => graph.pad(x, ...[0, 1, 2].map(() => [this.#below(2), this.#number() - 1] as const)),
      () => graph.softmax(x, 0.5, mask),
      () => {
        const q = this.#tensor(({ type }) => type === "f32");
        const k = this.#tensor(({ shape }) => shape[0] === q.shape[0] && shape[3] === q.shape[3]);
        const v = this.#tensor(({ shape }) =>
          shape.every((length, axis) => axis === 0 || length === k.shape[axis]),
        );
        const fits = ({ shape }: Tensor): boolean => shape[0] === k.shape[1] && shape[1] === q.shape[1];
        return graph.flashAttention(q, k, v, 0.3, this.#maybe(this.#tensor(fits)));
      },
      () => {
        const pairs = this.#choose(["normal", "neox"] as const);
        const options = { base: this.#choose([100, 10_000, 0, NaN]), pairs };
        const positions = this.#random() < 0.2 ? this.#tensor() : this.#input("i32", [depth]);
        if (this.#random() < 0.5) return graph.rope(x, positions, options);
        return graph.rope(x, positions, { ...options, dimensions: number, offset: this.#number() - 1 });
      },
      () => graph.rope2d(x, this.#input("i32", [depth]), this.#input("i32", [depth]), { base: 100 }),
      () => {
        const sections = this.#maybe(this.#numbers(4) as [number, number, number, number]);
        const mode = this.#choose(["vision", "mrope"] as const);
        const options = { base: 100, mode, ...(sections === undefined ? {} : { sections }) };
        return graph.ropeMulti(x, this.#input("i32", [4 * depth]), options);
      },
      () => graph.squares(x, this.#choose([1, 2, number, this.#tensor()])),
      () =>
        graph.conv2d(
          x,
          this.#tensor(({ shape }) => shape[2] === depth),
          this.#window(),
        ),
      () =>
        graph.conv1d(
          x,
          this.#tensor(({ shape }) => shape[1] === rows),
          this.#window(),
        ),
      () => graph.depthwiseConv2d(x, this.#input("f32", [number, 2, 1, depth]), this.#window()),
      () =>
        graph.pool2d(x, this.#choose(["average", "max"]), {
          window: [number, this.#number()],
          ...(this.#random() < 0.5 ? { padding: this.#below(3) } : { stride: this.#number() }),
        }),
      () => graph.pool1d(x, "average", number, this.#number()),
      () =>
        graph.interpolate(x, number, this.#number(), {
          filter: this.#choose(["bilinear", "bicubic"]),
          alignCorners: this.#random() < 0.5,
          antialias: this.#random() < 0.5,
        }),
    ];
    return this.#choose(operations)();
  }

  build(operations: number): void {
    for (let step = 0; step < 4; step++)
      this.#input(
        "f32",
        this.#choose([
          [4, 6],
          [4, 6, 2],
          [8, 3, 2, 2],
          [2, 2],
        ]),
      );
    for (let step = 0; step < operations; step++) {
      try {
        const result = this.#operation();
        this.accepted++;
        // Others are legal, and would only take long.
        if (countElements(result.shape) <= MOST_ELEMENTS) this.#tensors.push(result);
      } catch (error) {
        if (!MullError.is(error) || error.code !== "internal") throw error;
        this.refused++;
      }
    }
  }

  /** @returns whether it ran and gave as many numbers as it should */
  async run(): Promise<boolean> {
    const readable = this.#tensors.filter(({ type, contiguous }) => type === "f32" && contiguous);
    const outputs = Array.from({ length: 8 }, () => this.#choose(readable.slice(1)));
    const highest = this.#choose([1, 1, 3]);
    const values = this.#inputs.map((tensor): InputValues => {
      const count = countElements(tensor.shape);
      if (tensor.type === "i32")
        return [tensor, Int32Array.from({ length: count }, () => this.#below(highest))];
      const numbers = Float32Array.from({ length: count }, () => this.#random() * 4 - 2);
      if (this.#random() < 0.05) numbers[0] = this.#choose([NaN, Infinity, -Infinity, 1e38]);
      return [tensor, numbers];
    });
    try {
      this.#graph.finish(...outputs);
      const results = await this.#graph.runAll(values, outputs);
      return results.every(
        ({ length }, index) => length === countElements(outputs[index]?.shape ?? [0, 0, 0, 0]),
      );
    } catch (error) {
      if (!MullError.is(error) || !["internal", "out_of_memory"].includes(error.code)) throw error;
      return false;
    }
  }
}
