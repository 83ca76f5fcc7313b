import { quote } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import type { StoredTensor } from "./safetensors.ts";

const MOST_SHOWN = 8;

/**
 * The tensors of a model while a converter takes from them what it needs. What is missing, has another shape or is left
 * over is told all at once: one by one, somebody with a wrong folder would learn it in a hundred attempts.
 */
export class Inventory {
  readonly #origin: string;
  readonly #left: Map<string, StoredTensor>;
  readonly #missing: string[] = [];
  readonly #misshapen: string[] = [];

  /** @param origin folder, for messages */
  constructor(origin: string, tensors: ReadonlyMap<string, StoredTensor>) {
    this.#origin = origin;
    this.#left = new Map(tensors);
  }

  has(name: string): boolean {
    return this.#left.has(name);
  }

  /** Looks without taking. */
  peek(name: string): StoredTensor | undefined {
    return this.#left.get(name);
  }

  /** @param shape as PyTorch has it */
  take(name: string, shape: readonly number[]): readonly StoredTensor[] {
    if (this.#left.has(name)) return this.takeIfThere(name, shape);
    this.#missing.push(name);
    return [];
  }

  takeIfThere(name: string, shape: readonly number[]): readonly StoredTensor[] {
    const tensor = this.#left.get(name);
    if (tensor === undefined) return [];
    this.#left.delete(name);
    const same = tensor.shape.length === shape.length && shape.every((size, at) => size === tensor.shape[at]);
    if (!same) {
      const [actual, wanted] = [tensor.shape, shape].map((sizes) => `[${sizes.join(", ")}]`);
      this.#misshapen.push(`${quote(tensor.name)} is ${actual} instead of ${wanted}`);
    } else if (!["F32", "F16", "BF16"].includes(tensor.dtype)) {
      this.#misshapen.push(`${quote(tensor.name)} is of type ${tensor.dtype}`);
    } else {
      return [tensor];
    }
    return [];
  }

  /** Parts that are known and not needed. */
  drop(pattern: RegExp): void {
    for (const name of this.#left.keys()) {
      if (pattern.test(name)) this.#left.delete(name);
    }
  }

  /** @throws MullError `invalid_model` unless exactly what was asked for was there */
  close(): void {
    const left = [...this.#left.values()].map(({ name }) => quote(name));
    const complaints = [
      complaint("missing", this.#missing.map(quote)),
      complaint("not as the configuration says", this.#misshapen),
      complaint("without a place in the model", left),
    ].filter((text) => text !== undefined);
    if (complaints.length === 0) return;
    throw new MullError(
      "invalid_model",
      `The tensors in ${this.#origin} do not make up the model: ${complaints.join("; ")}.`,
      {
        hint: "Get the folder again, or another version of the model. mull converts LLaVA 1.0 to 1.6 with CLIP, and text models Llama, Mistral and Qwen2, with weights of type F32, F16 or BF16.",
        details: { missing: this.#missing, unexpected: left.slice(0, 100), wrong: this.#misshapen },
      },
    );
  }
}

function complaint(what: string, items: readonly string[]): string | undefined {
  if (items.length === 0) return undefined;
  const more = items.length > MOST_SHOWN ? ` and ${items.length - MOST_SHOWN} more` : "";
  return `${items.length} ${what} (${items.slice(0, MOST_SHOWN).join(", ")}${more})`;
}
