import { MullError, type SerializedError } from "../spec/errors.ts";
import { generate } from "./generate.ts";
import { type LocalModel, loadLocalModel } from "./local-model.ts";
import type { EngineLoadOptions, EngineReply, EngineRequest } from "./protocol.ts";
import { textOnlyError } from "./text-only-error.ts";

/**
 * Entry of the engine process: one model, all native code. It speaks `protocol.ts` with its parent and ends with it.
 * Requests are answered one after the other, in the order in which they came; a waiting one can be cancelled.
 */
const running = new Map<number, AbortController>();
let turn: Promise<unknown> = Promise.resolve();
let model: Promise<LocalModel> | undefined;

process.on("disconnect", () => process.exit(0));
process.on("message", (message: EngineRequest) => {
  switch (message.type) {
    case "load":
      model = load(message.options);
      break;
    case "cancel":
      running.get(message.id)?.abort();
      break;
    default:
      enqueue(message);
  }
});

function send(reply: EngineReply): void {
  process.send?.(reply);
}

async function load(options: EngineLoadOptions): Promise<LocalModel> {
  const started = performance.now();
  try {
    const loaded = await loadLocalModel(options, (completed, total) =>
      send({ type: "load-progress", completed, total }),
    );
    send({ type: "loaded", info: loaded.info, loadMs: performance.now() - started });
    return loaded;
  } catch (error) {
    send({ type: "load-failed", error: serialize(error) });
    // Nothing can be asked of a process without a model; leaving gives back what was already read.
    process.disconnect();
    throw error;
  }
}

function enqueue(message: Extract<EngineRequest, { id: number; type: "generate" | "inspect" }>): void {
  const controller = new AbortController();
  running.set(message.id, controller);
  turn = turn.then(async () => {
    try {
      controller.signal.throwIfAborted();
      await answer(message, controller.signal);
    } catch (error) {
      send({ type: "failed", id: message.id, error: serialize(error) });
    } finally {
      running.delete(message.id);
    }
  });
}

async function answer(
  message: Extract<EngineRequest, { id: number; type: "generate" | "inspect" }>,
  signal: AbortSignal,
): Promise<void> {
  const loaded = await model;
  if (loaded === undefined) throw new MullError("internal", "No model was loaded in this engine process.");
  const { id } = message;
  if (message.type === "generate") {
    for await (const part of generate(loaded, message.request, signal)) send({ type: "part", id, part });
    return;
  }
  const { encoder } = loaded;
  if (encoder === undefined) throw textOnlyError(loaded.info.name);
  const { width, height } = message.image;
  const { seen, steps } = encoder.preprocess(message.image);
  const tokens = encoder.countTokens(width, height);
  send({ type: "inspected", id, seen: { seen, steps, tokens, cached: false } });
}

function serialize(error: unknown): SerializedError {
  return MullError.wrap(error).toJSON();
}
