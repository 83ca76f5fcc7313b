import { MullError, type SerializedError } from "../spec/errors.ts";
import type { MediaSource } from "../spec/message.ts";
import type {
  AskOptions,
  EmbedInput,
  Embeddings,
  EmbedOptions,
  EngineStats,
  InspectOptions,
  Model,
  ModelInfo,
  StreamRequest,
} from "../spec/model.ts";
import type { MediaReceipt } from "../spec/receipt.ts";
import type { StreamPart, Usage } from "../spec/stream.ts";
import { ask } from "./ask.ts";
import { embeddingBatches } from "./embedding-batches.ts";
import { decodeVector, type WireStreamRequest, type WireVectors } from "./wire.ts";
import { isRecord, notMull } from "./response-error.ts";
import { aborted } from "./send-request.ts";
import { parseServerAddress } from "./server-address.ts";
import { ServerClient } from "./server-client.ts";
import { UploadedMedia } from "./uploaded-media.ts";

export interface ConnectOptions {
  /** Address of a mull server: "http://127.0.0.1:11434", "gpu-box:11434", "https://example.org/mull". */
  url: string;
  /** A model that the server knows by this name. */
  model: string;
  /** Default: MULL_API_KEY. */
  apiKey?: string;
  signal?: AbortSignal;
}

/**
 * A model of a mull server, loaded there if it was not. It is used like one that `load()` gives: paths of pictures
 * are read on this machine, and errors have the same codes. Closing it leaves the server and its model as they are.
 *
 * ```ts
 * await using model = await connect({ url: "http://127.0.0.1:11434", model: "pico" });
 * console.log(await model.ask("What's in this image?", "./smile.png"));
 * ```
 *
 * @throws MullError `server_unreachable`, `unauthorized`, `model_not_found`, `invalid_model`, `out_of_memory`, `aborted`
 */
export async function connect(options: ConnectOptions): Promise<Model> {
  const { url, model, apiKey = process.env["MULL_API_KEY"], signal } = options;
  const client = new ServerClient(parseServerAddress(url), apiKey);
  return connectThrough(client, model, signal);
}

/** `connect` with a client that is there already. */
export async function connectThrough(
  client: ServerClient,
  model: string,
  signal: AbortSignal | undefined,
): Promise<Model> {
  const info = await client.call(`/api/models/${encodeURIComponent(model)}`, { signal });
  if (!isRecord(info) || typeof info["name"] !== "string" || !Array.isArray(info["input"])) {
    throw notMull(client.address.host, "it does not describe its models as mull does");
  }
  return new RemoteModel(client, model, info as unknown as ModelInfo);
}

class RemoteModel implements Model {
  readonly info: ModelInfo;
  readonly enginePid = undefined;
  readonly #client: ServerClient;
  readonly #model: string;
  readonly #media: UploadedMedia;
  readonly #inFlight = new Set<AbortController>();
  #closed = false;

  constructor(client: ServerClient, model: string, info: ModelInfo) {
    this.#client = client;
    this.#model = model;
    this.info = info;
    this.#media = new UploadedMedia(client);
  }

  ask(question: string, ...rest: (MediaSource | AskOptions)[]): Promise<string> {
    return ask(this, question, rest);
  }

  async *stream({ signal, ...request }: StreamRequest): AsyncGenerator<StreamPart, void, undefined> {
    using work = this.#begin(signal);
    for (let attempt = 1; ; attempt++) {
      const body = await this.#wire(request, work.signal);
      let begun = false;
      try {
        for await (const part of this.#parts(body, work.signal)) {
          begun = true;
          yield part;
        }
        return;
      } catch (error) {
        if (begun || !this.#lostUploads(error, attempt)) throw error;
      }
    }
  }

  async inspect(media: MediaSource, options: InspectOptions = {}): Promise<MediaReceipt> {
    const { name: given, detail, maxTokens, signal } = options;
    let name = "";
    const answer = (await this.#post("/api/inspect", signal, async (running) => {
      const named = given === undefined ? {} : { name: given };
      const picture = await this.#media.reference(media, { ...named, index: 0, signal: running });
      ({ name } = picture);
      return { images: [picture.image], detail, max_tokens: maxTokens };
    })) as { receipts: [MediaReceipt] };
    return { ...answer.receipts[0], name };
  }

  async embed(inputs: readonly EmbedInput[], options: EmbedOptions = {}): Promise<Embeddings> {
    const { signal, ...rest } = options;
    const vectors: Float32Array[] = []; // one (dimensions) float32 per input
    const receipts: MediaReceipt[] = [];
    const usage = { total: 0, text: 0, image: 0 };
    for (const batch of embeddingBatches(inputs)) {
      const answer = (await this.#post("/api/vectors", signal, async (running) => ({
        ...rest,
        inputs: await this.#media.inInputs(batch, receipts.length, running),
      }))) as WireVectors;
      vectors.push(...answer.vectors.map(decodeVector));
      receipts.push(...answer.receipts);
      for (const key of ["total", "text", "image"] as const) usage[key] += answer.usage[key];
    }
    return { vectors, usage, receipts };
  }

  async countTokens({
    signal,
    ...request
  }: StreamRequest): Promise<Pick<Usage["inputTokens"], "total" | "text" | "image">> {
    const answer = await this.#post("/api/tokens", signal, (running) => this.#wire(request, running));
    return answer as Pick<Usage["inputTokens"], "total" | "text" | "image">;
  }

  async stats(): Promise<EngineStats> {
    using work = this.#begin(undefined);
    const path = `/api/stats/${encodeURIComponent(this.#model)}`;
    return (await this.#client.call(path, { signal: work.signal })) as EngineStats;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const controller of this.#inFlight) controller.abort(this.#closedError());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** An answer as the server sends it. One that ends without `finish` or an error is an error, not a short answer. */
  async *#parts(body: WireStreamRequest, signal: AbortSignal): AsyncGenerator<StreamPart, void, undefined> {
    for await (const part of this.#client.lines("/api/stream", { method: "POST", body, signal })) {
      if (!isRecord(part) || typeof part["type"] !== "string") {
        throw notMull(this.#client.address.host, "its answer is not in parts");
      }
      if (part["type"] === "error") throw MullError.from(part["error"] as SerializedError);
      yield part as unknown as StreamPart;
      if (part["type"] === "finish") return;
    }
    throw new MullError(
      "server_unreachable",
      `The server at ${this.#client.address.host} ended the answer before it was complete.`,
      { hint: "It may have been stopped. What it had answered until then is all there is." },
    );
  }

  async #wire(request: Omit<StreamRequest, "signal">, signal: AbortSignal): Promise<WireStreamRequest> {
    const messages = await this.#media.inMessages(request.messages, signal);
    return { ...request, model: this.#model, messages };
  }

  /** @param prepare makes the body, for this model; called again when the server no longer has the pictures */
  async #post(
    path: string,
    signal: AbortSignal | undefined,
    prepare: (signal: AbortSignal) => Promise<object>,
  ): Promise<unknown> {
    using work = this.#begin(signal);
    for (let attempt = 1; ; attempt++) {
      const body = { ...(await prepare(work.signal)), model: this.#model };
      try {
        return await this.#client.call(path, { method: "POST", body, signal: work.signal });
      } catch (error) {
        if (!this.#lostUploads(error, attempt)) throw error;
      }
    }
  }

  /** What is sent names only uploads: media that the server does not find were sent, and not kept. */
  #lostUploads(error: unknown, attempt: number): boolean {
    const lost = attempt === 1 && MullError.is(error) && error.code === "media_not_found";
    if (lost) this.#media.forget();
    return lost;
  }

  /** A request of this model: ends when the caller's signal fires or the model is closed. */
  #begin(signal: AbortSignal | undefined): Disposable & { signal: AbortSignal } {
    if (this.#closed) throw this.#closedError();
    if (signal?.aborted === true) throw aborted(signal);
    const controller = new AbortController();
    const abort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#inFlight.add(controller);
    return {
      signal: controller.signal,
      [Symbol.dispose]: () => {
        signal?.removeEventListener("abort", abort);
        this.#inFlight.delete(controller);
      },
    };
  }

  #closedError(): MullError {
    return new MullError("closed", `The model ${this.#model} is closed.`);
  }
}
