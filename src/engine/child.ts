import { leaveSignalsToParent } from "../process/leave-signals.ts";
import { MullError, type SerializedError } from "../spec/errors.ts";
import type { EngineStats } from "../spec/model.ts";
import { embed } from "./embed.ts";
import { generate } from "./generate.ts";
import { type LocalModel, loadLocalModel } from "./local-model.ts";
import { describePicture } from "./picture-rows.ts";
import { layOutPrompt, pictureBudget } from "./prompt-layout.ts";
import type {
  EncodedImageFacts,
  EngineLoadOptions,
  EngineReply,
  EngineRequest,
  PromptImage,
} from "./protocol.ts";
import { textOnlyError } from "./text-only-error.ts";

/**
 * Entry of the engine process: one model, all native code. It speaks `protocol.ts` with its parent and ends with it.
 * Requests run side by side; the scheduler decides who computes when.
 */
const running = new Map<number, AbortController>();
let model: Promise<LocalModel> | undefined;
/** The model once it is loaded. */
let ready: LocalModel | undefined;

leaveSignalsToParent();
process.on("disconnect", () => void end());
process.on("message", (message: EngineRequest) => {
  switch (message.type) {
    case "load":
      model = load(message.options);
      break;
    case "cancel":
      running.get(message.id)?.abort();
      break;
    case "close":
      void end();
      break;
    default:
      void run(message);
  }
});

type Question = Exclude<EngineRequest, { type: "load" | "cancel" | "close" }>;

function send(reply: EngineReply): void {
  // The callback takes the error of a parent that has just gone; "disconnect" ends the process then.
  process.send?.(reply, undefined, undefined, () => {});
}

async function load(options: EngineLoadOptions): Promise<LocalModel> {
  const started = performance.now();
  try {
    const loaded = await loadLocalModel(options, (completed, total) =>
      send({ type: "load-progress", completed, total }),
    );
    ready = loaded;
    send({ type: "loaded", info: loaded.info, loadMs: performance.now() - started });
    return loaded;
  } catch (error) {
    send({ type: "load-failed", error: serialize(error) });
    // Nothing can be asked of a process without a model; leaving gives back what was already read.
    process.disconnect();
    throw error;
  }
}

/** Whatever was being computed is given up; what was computed for the cache on disk is still written. */
async function end(): Promise<void> {
  for (const controller of running.values()) controller.abort();
  await ready?.cache.close();
  process.exit(0);
}

async function run(question: Question): Promise<void> {
  const { id } = question;
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const loaded = await model;
    if (loaded === undefined) throw new MullError("internal", "No model was loaded in this engine process.");
    controller.signal.throwIfAborted();
    await answer(loaded, question, controller.signal);
  } catch (error) {
    send({ type: "failed", id, error: serialize(error) });
  } finally {
    running.delete(id);
  }
}

async function answer(loaded: LocalModel, question: Question, signal: AbortSignal): Promise<void> {
  const { id } = question;
  switch (question.type) {
    case "generate":
      requireAnswers(loaded);
      await generate(loaded, question.request, signal, (part) => send({ type: "part", id, part }));
      return send({ type: "generated", id });
    case "embed":
      return send({ type: "embedded", id, result: await embed(loaded, question.request, signal) });
    case "count":
      return send({ type: "counted", id, tokens: (await layOutPrompt(loaded, question.request)).tokens });
    case "inspect":
      return send({ type: "inspected", id, seen: inspect(loaded, question.image) });
    default:
      return send({ type: "stats", id, stats: stats(loaded) });
  }
}

function requireAnswers({ info, embedder }: LocalModel): void {
  if (embedder === undefined) return;
  throw new MullError("invalid_argument", `"${info.name}" does not support chat: it is an embedding model.`, {
    hint: "Ask it for embeddings, or choose another model.",
  });
}

function inspect({ encoder, info }: LocalModel, picture: PromptImage): EncodedImageFacts {
  if (encoder === undefined) throw textOnlyError(info.name);
  const { asked, native } = pictureBudget(encoder, picture);
  return { ...describePicture(asked, native, encoder.preprocess(picture.image)), cached: false };
}

function stats({ scheduler, text }: LocalModel): EngineStats {
  return {
    ...scheduler.counters,
    running: scheduler.running,
    waiting: scheduler.waiting,
    parallel: text.parallel,
    contextCells: text.cells,
    usedCells: scheduler.kv.usedCells,
    residentBytes: process.memoryUsage.rss(),
  };
}

function serialize(error: unknown): SerializedError {
  return MullError.wrap(error).toJSON();
}
