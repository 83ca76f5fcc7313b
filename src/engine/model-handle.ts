import { AnswerParser } from "../chat/answer-parser.ts";
import { checkTools } from "../chat/check-tools.ts";
import { givenDefaults, withDefaults } from "../chat/with-defaults.ts";
import { MediaDecoder } from "../media/media-process.ts";
import { resolveMedia } from "../media/resolve-media.ts";
import { ask } from "../providers/ask.ts";
import { MullError } from "../spec/errors.ts";
import type { MediaSource } from "../spec/message.ts";
import type {
  AskOptions,
  EmbedInput,
  EmbedOptions,
  Embeddings,
  EngineStats,
  InspectOptions,
  Model,
  ModelDefaults,
  ModelInfo,
  StreamRequest,
} from "../spec/model.ts";
import type { MediaReceipt } from "../spec/receipt.ts";
import type { StreamPart } from "../spec/stream.ts";
import { AnswerParts } from "./answer-parts.ts";
import { DecodedImages } from "./decoded-images.ts";
import { type DecodedPicture, completeReceipt } from "./decoded-picture.ts";
import { EngineProcess, type LoadedEngine } from "./engine-process.ts";
import { type NumberedImage, numberImages } from "./number-images.ts";
import { checkStreamOptions } from "./options.ts";
import type {
  EngineLoadOptions,
  GenerateRequest,
  PromptImage,
  PromptRequest,
  PromptTokens,
} from "./protocol.ts";
import { textOnlyError } from "./text-only-error.ts";

type DecodeRequest = Pick<StreamRequest, "client" | "signal">;
type OnProgress = (completedBytes: number, totalBytes: number) => void;

/** A model as the program holds it: no native code, no weights, only the processes that have them. */
export class ModelHandle implements Model {
  readonly #options: EngineLoadOptions;
  readonly #defaults: ModelDefaults;
  /** That came with the model, beside what its files name. */
  readonly #licenses: readonly string[];
  readonly #decoded: DecodedImages;
  readonly #media = new MediaDecoder();
  #engine: EngineProcess;
  #info: ModelInfo | undefined;
  #closed = false;

  constructor(
    options: EngineLoadOptions,
    setup: ModelDefaults & { licenses?: readonly string[] },
    onProgress: OnProgress,
  ) {
    this.#options = options;
    this.#defaults = givenDefaults(setup);
    this.#licenses = setup.licenses ?? [];
    this.#engine = new EngineProcess(options, onProgress);
    this.#decoded = new DecodedImages(this.#media);
    // Both processes start side by side: most first questions come with a picture.
    if (options.projector !== undefined) this.#media.start();
  }

  get info(): ModelInfo {
    if (this.#info === undefined) throw new MullError("internal", "The model is not loaded yet.");
    return this.#info;
  }

  get enginePid(): number | undefined {
    return this.#engine.pid;
  }

  async ready(): Promise<LoadedEngine> {
    const loaded = await this.#engine.ready;
    this.#info = {
      ...loaded.info,
      ...(this.#licenses.length === 0 ? {} : { license: this.#licenses.join("\n") }),
      ...(Object.keys(this.#defaults).length === 0 ? {} : { defaults: this.#defaults }),
    };
    this.#engine.unrefWhenIdle();
    return loaded;
  }

  ask(question: string, ...rest: (MediaSource | AskOptions)[]): Promise<string> {
    return ask(this, question, rest);
  }

  async *stream(given: StreamRequest): AsyncGenerator<StreamPart, void, undefined> {
    const started = performance.now();
    const request = withDefaults(given, this.#defaults);
    const { signal } = request;
    const { generation, ...how } = checkStreamOptions(request);
    signal?.throwIfAborted();
    const engine = await this.#liveEngine();
    const loadMs = performance.now() - started;
    if (how.think !== undefined && how.think !== false && !this.info.capabilities.includes("thinking")) {
      throw new MullError("invalid_argument", `"${this.info.name}" does not support thinking.`, {
        hint: "Leave think out, or choose a model that thinks.",
      });
    }

    const decodeStarted = performance.now();
    const { sources, ...asked } = this.#checkPrompt(request);
    const images: DecodedPicture[] = [];
    yield* this.#decodeAll(sources, images, request);
    const decodeMs = performance.now() - decodeStarted;

    const template = this.info.template.source;
    const { tools, toolChoice } = asked.prompt;
    const callsTools = (tools?.length ?? 0) > 0 && toolChoice !== "none";
    const parts = new AnswerParts(
      (promptEnd) => new AnswerParser({ template, tools: callsTools, prompt: promptEnd }),
      images,
      started,
    );
    const engineRequest: GenerateRequest = {
      ...asked,
      images: images.map(toPromptImage),
      options: generation,
      format: how.format,
      logprobs: request.logprobs,
      client: request.client ?? "",
    };
    for await (const part of engine.generate(engineRequest, signal))
      yield* parts.of(part, { loadMs, decodeMs });
  }

  async inspect(media: MediaSource, options: InspectOptions = {}): Promise<MediaReceipt> {
    const { name, signal, ...budget } = options;
    const engine = await this.#liveEngine();
    if (!this.info.input.includes("image")) throw textOnlyError(this.info.name);
    const image = await this.#decode({ image: media, ...budget, ...optional({ name }) }, 0, options);
    const { cached: _, ...seen } = await engine.inspect(toPromptImage(image), signal);
    return completeReceipt(image, seen);
  }

  async embed(inputs: readonly EmbedInput[], options: EmbedOptions = {}): Promise<Embeddings> {
    const { truncate = true, dimensions, client = "", signal } = options;
    checkDimensions(dimensions);
    const engine = await this.#liveEngine();
    const images: DecodedPicture[] = [];
    const asked = [];
    for (const [place, input] of inputs.entries()) {
      const { text, image, name } = typeof input === "string" ? { text: input } : input;
      if (text === undefined && image === undefined) {
        throw new MullError("invalid_argument", `Input ${place} has neither text nor a picture.`);
      }
      if (image === undefined) {
        asked.push({ text: text as string });
        continue;
      }
      if (!this.info.input.includes("image")) throw textOnlyError(this.info.name);
      const decoded = await this.#decode({ image, ...optional({ name }) }, images.length, options);
      images.push(decoded);
      asked.push({ image: toPromptImage(decoded), ...optional({ text }) });
    }
    const { vectors, usage, facts } = await engine.embed(
      { inputs: asked, truncate, dimensions, client },
      signal,
    );
    const receipts = facts.map((fact, index) => completeReceipt(images[index] as DecodedPicture, fact));
    return { vectors, usage, receipts };
  }

  async countTokens(given: StreamRequest): Promise<PromptTokens> {
    const request = withDefaults(given, this.#defaults);
    checkStreamOptions(request);
    const engine = await this.#liveEngine();
    const { sources, ...asked } = this.#checkPrompt(request);
    const images: DecodedPicture[] = [];
    for await (const _ of this.#decodeAll(sources, images, request));
    return engine.count({ ...asked, images: images.map(toPromptImage) }, request.signal);
  }

  async stats(): Promise<EngineStats> {
    return (await this.#liveEngine()).stats();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([
      this.#engine.close(new MullError("closed", `The model ${this.#options.name} was closed.`)),
      this.#media.close(),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Everything that shapes the prompt, checked; pictures leave the messages and are known by number. */
  #checkPrompt(request: StreamRequest): Omit<PromptRequest, "images"> & { sources: NumberedImage[] } {
    const { messages, sources } = numberImages(request.messages);
    if (sources.length > 0 && !this.info.input.includes("image")) throw textOnlyError(this.info.name);
    const { tools, toolChoice } = checkTools(request.tools, request.toolChoice);
    return {
      messages,
      sources,
      overflow: request.overflow ?? "error",
      ...optional({ answerTokens: request.maxTokens }),
      prompt: {
        ...(tools.length === 0 ? {} : { tools, toolChoice }),
        ...optional({ think: request.think, raw: request.raw }),
      },
    };
  }

  /** Decodes pictures in order into `images`, and tells how far it is. */
  async *#decodeAll(
    sources: readonly NumberedImage[],
    images: DecodedPicture[],
    request: DecodeRequest,
  ): AsyncGenerator<StreamPart, void, undefined> {
    const total = sources.length;
    if (total === 0) return;
    for (const [index, source] of sources.entries()) {
      yield { type: "progress", stage: "decode", completed: index, total };
      images.push(await this.#decode(source, index, request));
    }
    yield { type: "progress", stage: "decode", completed: total, total };
  }

  async #decode(
    source: NumberedImage,
    index: number,
    { client = "", signal }: DecodeRequest,
  ): Promise<DecodedPicture> {
    const { image, name, detail, maxTokens } = source;
    const item = await resolveMedia(image, { index, ...optional({ name, signal }) });
    return { ...(await this.#decoded.get(item, client, signal)), ...optional({ detail, maxTokens }) };
  }

  /** The engine, started anew if the last one crashed. */
  async #liveEngine(): Promise<EngineProcess> {
    if (this.#closed) throw new MullError("closed", `The model ${this.#options.name} is closed.`);
    if (!this.#engine.alive) this.#engine = new EngineProcess(this.#options, () => {});
    await this.ready();
    return this.#engine;
  }
}

function toPromptImage({ image, receipt, detail, maxTokens }: DecodedPicture): PromptImage {
  return { image, name: receipt.name, ...optional({ detail, maxTokens }) };
}

function checkDimensions(dimensions: number | undefined): void {
  if (dimensions === undefined || (Number.isInteger(dimensions) && dimensions > 0)) return;
  throw new MullError("invalid_argument", `dimensions is ${dimensions}.`, {
    hint: "It must be a whole number above 0.",
  });
}

/** Leaves out what is undefined, as `exactOptionalPropertyTypes` wants it. */
function optional<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
