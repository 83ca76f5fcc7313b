import type { ChatMessage } from "../chat/build-prompt.ts";
import { MediaDecoder } from "../media/media-process.ts";
import { resolveMedia } from "../media/resolve-media.ts";
import { MullError } from "../spec/errors.ts";
import type { MediaSource, Message } from "../spec/message.ts";
import type { AskOptions, Model, ModelInfo, StreamRequest } from "../spec/model.ts";
import type { MediaReceipt } from "../spec/receipt.ts";
import type { StreamPart } from "../spec/stream.ts";
import { DecodedImages } from "./decoded-images.ts";
import { EngineProcess, type LoadedEngine } from "./engine-process.ts";
import { checkGenerationOptions } from "./options.ts";
import type { EngineLoadOptions } from "./protocol.ts";
import { textOnlyError } from "./text-only-error.ts";

type OnProgress = (completedBytes: number, totalBytes: number) => void;

/** A model as the program holds it: no native code, no weights, only the processes that have them. */
export class ModelHandle implements Model {
  readonly #options: EngineLoadOptions;
  readonly #decoded: DecodedImages;
  readonly #media = new MediaDecoder();
  #engine: EngineProcess;
  #info: ModelInfo | undefined;
  #closed = false;

  constructor(options: EngineLoadOptions, onProgress: OnProgress) {
    this.#options = options;
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
    this.#info = loaded.info;
    this.#engine.unrefWhenIdle();
    return loaded;
  }

  async ask(question: string, ...rest: (MediaSource | AskOptions)[]): Promise<string> {
    const { system, ...options } = rest.filter(isOptions).at(-1) ?? {};
    const media = rest.filter((item) => !isOptions(item)) as MediaSource[];
    const messages: Message[] = [
      ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
      {
        role: "user",
        content: [
          ...media.map((image) => ({ type: "image" as const, image })),
          { type: "text", text: question },
        ],
      },
    ];
    let answer = "";
    for await (const part of this.stream({ messages, ...options })) {
      if (part.type === "text-delta") answer += part.delta;
    }
    return answer.trim();
  }

  async *stream(request: StreamRequest): AsyncGenerator<StreamPart, void, undefined> {
    const started = performance.now();
    const { messages, signal, ...generation } = request;
    const options = checkGenerationOptions(generation);
    signal?.throwIfAborted();
    const engine = await this.#liveEngine();
    const loadMs = performance.now() - started;

    const { chat, sources } = numberImages(messages);
    if (sources.length > 0 && !this.info.input.includes("image")) throw textOnlyError(this.info.name);
    const decodeStarted = performance.now();
    const images: DecodedPicture[] = [];
    for (const [index, { image, name }] of sources.entries()) {
      yield { type: "progress", stage: "decode", completed: index, total: sources.length };
      const item = await resolveMedia(image, { index, ...optional({ name, signal }) });
      images.push(await this.#decoded.get(item, signal));
    }
    if (sources.length > 0) {
      yield { type: "progress", stage: "decode", completed: sources.length, total: sources.length };
    }
    const decodeMs = performance.now() - decodeStarted;

    let firstTokenMs = 0;
    const id = "0";
    const asked = { messages: chat, images: images.map(({ image }) => image), options };
    for await (const part of engine.generate(asked, signal)) {
      switch (part.type) {
        case "progress":
          yield part;
          break;
        case "image":
          yield { type: "media", receipt: completeReceipt(images[part.index] as DecodedPicture, part.facts) };
          break;
        case "text":
          if (firstTokenMs === 0) {
            firstTokenMs = performance.now() - started;
            yield { type: "text-start", id };
          }
          yield { type: "text-delta", id, delta: part.delta };
          break;
        case "finish": {
          if (firstTokenMs > 0) yield { type: "text-end", id };
          const totalMs = performance.now() - started;
          yield { ...part, timings: { ...part.timings, loadMs, decodeMs, firstTokenMs, totalMs } };
        }
      }
    }
  }

  async inspect(
    media: MediaSource,
    options: { name?: string; signal?: AbortSignal } = {},
  ): Promise<MediaReceipt> {
    const engine = await this.#liveEngine();
    if (!this.info.input.includes("image")) throw textOnlyError(this.info.name);
    const item = await resolveMedia(media, { index: 0, ...optional(options) });
    const decoded = await this.#decoded.get(item, options.signal);
    const { cached: _, ...seen } = await engine.inspect(decoded.image, options.signal);
    return completeReceipt(decoded, seen);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#engine.kill(new MullError("closed", `The model ${this.#options.name} was closed.`));
    await this.#media.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The engine, started anew if the last one crashed. */
  async #liveEngine(): Promise<EngineProcess> {
    if (this.#closed) throw new MullError("closed", `The model ${this.#options.name} is closed.`);
    if (!this.#engine.alive) this.#engine = new EngineProcess(this.#options, () => {});
    await this.ready();
    return this.#engine;
  }
}

type DecodedPicture = Awaited<ReturnType<DecodedImages["get"]>>;

/** What the decoder did, then what the encoder did. */
function completeReceipt(
  { receipt }: DecodedPicture,
  facts: Pick<MediaReceipt, "seen" | "tokens" | "cached" | "steps">,
): MediaReceipt {
  return { ...receipt, ...facts, steps: [...receipt.steps, ...facts.steps] };
}

/** Pictures leave the messages and are known by number. */
function numberImages(messages: readonly Message[]): {
  chat: ChatMessage[];
  sources: { image: MediaSource; name: string | undefined }[];
} {
  const sources: { image: MediaSource; name: string | undefined }[] = [];
  const chat = messages.map(({ role, content }): ChatMessage => {
    const parts = typeof content === "string" ? [{ type: "text" as const, text: content }] : content;
    return {
      role,
      parts: parts.map((part) => {
        if (part.type === "text") return part;
        if (part.type !== "image") throw unknownPart((part as { type: unknown }).type);
        return { type: "image", index: sources.push({ image: part.image, name: part.name }) - 1 };
      }),
    };
  });
  return { chat, sources };
}

/** From JavaScript anything can come; an attachment of a kind not known here must not be dropped. */
function unknownPart(type: unknown): MullError {
  return new MullError("unsupported_modality", `A message has a part of type "${String(type)}".`, {
    hint: "This model takes parts of type text and image.",
  });
}

function isOptions(item: MediaSource | AskOptions): item is AskOptions {
  return (
    typeof item === "object" &&
    !(item instanceof Uint8Array) &&
    !(item instanceof Blob) &&
    !(item instanceof URL)
  );
}

/** Leaves out what is undefined, as `exactOptionalPropertyTypes` wants it. */
function optional<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
