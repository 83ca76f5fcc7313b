import { MullError } from "../../spec/errors.ts";
import type { Model, StreamRequest } from "../../spec/model.ts";
import type { StreamPart } from "../../spec/stream.ts";
import type { CatalogEntry, Lease } from "../model-pool.ts";
import { observeStream } from "../observe-stream.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";

/**
 * What a request holds of the server while it works with a model: a place among those admitted, then the model itself.
 * `using use = await ModelUse.begin(…)` gives both back, whatever happens.
 *
 * Begin it within the generator that a stream is made of: one that is never asked for its first item holds nothing.
 */
export class ModelUse implements Disposable {
  readonly entry: CatalogEntry;
  /** What loading took this request, in ms; known with the model. */
  loadMs = 0;
  readonly #context: ServerContext;
  readonly #signal: AbortSignal;
  readonly #leave: () => void;
  #lease: Promise<Lease> | undefined;

  /** @throws MullError `model_not_found`, `server_busy`, `rate_limited` */
  static async begin(c: RequestContext, context: ServerContext, model: string): Promise<ModelUse> {
    const { client, signal } = c.var;
    const entry = await context.models.find(model);
    return new ModelUse(context, signal, entry, context.admission.enter(client, entry.name));
  }

  private constructor(context: ServerContext, signal: AbortSignal, entry: CatalogEntry, leave: () => void) {
    this.entry = entry;
    this.#context = context;
    this.#signal = signal;
    this.#leave = leave;
  }

  /** The model, loaded if it was not. Check the request before: what is wrong with it should not wait for a load. */
  async model(): Promise<Model> {
    // One for all streams of this request, however many begin at once.
    this.#lease ??= this.#context.models.acquire(this.entry.name, { signal: this.#signal });
    const { model, loadMs } = await this.#lease;
    this.loadMs = loadMs;
    return model;
  }

  /** Asks the model; what comes is counted in the server's metrics. */
  async *stream(request: StreamRequest): AsyncGenerator<StreamPart, void, undefined> {
    const model = await this.model();
    const parts = model.stream(forModel(request, model));
    for await (const part of observeStream(this.#context.metrics, this.entry.name, parts)) {
      if (part.type === "error") throw MullError.from(part.error);
      yield part;
    }
  }

  /** Tokens that the prompt of a request takes. */
  async countTokens(request: StreamRequest): Promise<number> {
    const model = await this.model();
    return (await model.countTokens(forModel(request, model))).total;
  }

  [Symbol.dispose](): void {
    // A load that is still under way ends by the request's signal, or is given back when it is done.
    this.#lease?.then(
      (lease) => lease.release(),
      () => {},
    );
    this.#leave();
  }
}

/**
 * How hard to think is a wish of these dialects, which their clients send to every model: one that cannot think
 * answers without.
 */
function forModel({ think, ...request }: StreamRequest, { info }: Model): StreamRequest {
  return think === undefined || !info.capabilities.includes("thinking") ? request : { ...request, think };
}
