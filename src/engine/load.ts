import { MullError } from "../spec/errors.ts";
import type { Model } from "../spec/model.ts";
import type { LoadOptions } from "../spec/options.ts";
import { loadFiles } from "../store/load-files.ts";
import { locateModel } from "../store/locate-model.ts";
import type { ModelSetup } from "../store/model-setup.ts";
import { ModelHandle } from "./model-handle.ts";
import type { EngineLoadOptions } from "./protocol.ts";

const PRECISIONS = ["auto", "f32", "f16", "bf16", "q8_0"];
const COMPATIBILITIES = ["llama.cpp"];

/**
 * Loads a model into an engine process of its own.
 *
 * ```ts
 * await using model = await load("pico");
 * console.log(await model.ask("What's in this image?", "./smile.png"));
 * ```
 *
 * @param model a name, the path of a GGUF file, or options that say so. Default: "pico"
 * @throws MullError `model_not_found`, `invalid_model`, `engine_unavailable`, `out_of_memory`, `aborted`
 */
export async function load(model: string | LoadOptions = "pico", options: LoadOptions = {}): Promise<Model> {
  const merged: LoadOptions = typeof model === "string" ? { ...options, model } : { ...options, ...model };
  merged.signal?.throwIfAborted();
  const setup = locateModel(merged) ?? (await resolve(merged));
  merged.signal?.throwIfAborted();
  const handle = new ModelHandle(engineOptions(setup, merged), setup, merged.onProgress ?? (() => {}));
  const abort = (): void => void handle.close();
  merged.signal?.addEventListener("abort", abort, { once: true });
  try {
    await handle.ready();
    return handle;
  } catch (error) {
    await handle.close();
    merged.signal?.throwIfAborted();
    throw error;
  } finally {
    merged.signal?.removeEventListener("abort", abort);
  }
}

/** The store is loaded when a model is in it: the bundled one, and files, answer sooner. */
async function resolve({ model = "", signal }: LoadOptions): Promise<ModelSetup> {
  const { resolveModel } = await import("../store/resolve-model.ts");
  return resolveModel(model, { env: process.env, ...(signal === undefined ? {} : { signal }) });
}

/** What the caller says goes before what was set for the model. */
function engineOptions(setup: ModelSetup, given: LoadOptions): EngineLoadOptions {
  const { model: _, ...said } = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as LoadOptions;
  const options: LoadOptions = { ...setup.load, ...said };
  const precision = options.encoderPrecision ?? "auto";
  if (!PRECISIONS.includes(precision)) {
    throw new MullError("invalid_argument", `There is no encoder precision "${precision}".`, {
      hint: `Choose one of ${PRECISIONS.join(", ")}.`,
    });
  }
  if (options.compat !== undefined && !COMPATIBILITIES.includes(options.compat)) {
    throw new MullError("invalid_argument", `There is no compatibility with "${options.compat}".`, {
      hint: `Choose ${COMPATIBILITIES.join(", ")}, or none.`,
    });
  }
  const device = options.device ?? process.env["MULL_DEVICE"] ?? "auto";
  if (device !== "cpu" && device !== "auto") {
    throw new MullError("invalid_argument", `MULL_DEVICE is "${device}".`, {
      hint: "Set it to cpu or auto.",
    });
  }
  return {
    name: setup.name,
    ...loadFiles(options),
    contextLength: wholeNumber("contextLength", options.contextLength, 16, 2 ** 22),
    parallel: options.parallel === "auto" ? "auto" : (wholeNumber("parallel", options.parallel, 1, 60) ?? 1),
    diskCache: options.diskCache ?? true,
    threads: wholeNumber("threads", options.threads, 1, 512),
    encoderPrecision: precision,
    compat: options.compat,
    template: options.template,
    fallbackTemplate: options.fallbackTemplate,
    device,
  };
}

function wholeNumber(name: string, value: number | undefined, from: number, to: number): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= from && value <= to)) return value;
  throw new MullError("invalid_argument", `${name} is ${value}.`, {
    hint: `It must be a whole number from ${from} to ${to}.`,
  });
}
