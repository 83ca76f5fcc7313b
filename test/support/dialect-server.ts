import { createApp } from "../../src/server/create-app.ts";
import type { RouteModule, ServerApp } from "../../src/server/route-module.ts";
import type { ServerOptions } from "../../src/server/server-options.ts";
import type { EmbedInput, EmbedOptions, Model, StreamRequest } from "../../src/spec/model.ts";
import { MullError } from "../../src/spec/errors.ts";
import type { StreamPart } from "../../src/spec/stream.ts";
import { fakeContext, fakeModel, fakePool, say, type FakeAnswer } from "./fake-server.ts";

export interface DialectServer {
  app: ServerApp;
  /** Takes the place of `fetch` in a client: its requests go to the app, without a socket. */
  fetch: typeof fetch;
  /** What the model was asked. */
  requests: StreamRequest[];
  embedded: { inputs: readonly EmbedInput[]; options: EmbedOptions | undefined }[];
  /** Places and models that requests hold now: 0 when all was given back. */
  held: () => number;
}

/** A server with one dialect's routes around a model that says what it is told. */
export function dialectServer(
  routes: RouteModule,
  given: {
    answer?: FakeAnswer;
    model?: Partial<Model>;
    options?: Partial<ServerOptions>;
    /** Refuses to let anybody in. */
    refuse?: MullError;
  } = {},
): DialectServer {
  const requests: StreamRequest[] = [];
  const embedded: DialectServer["embedded"] = [];
  const answer = given.answer ?? (() => say("Hello", " there."));
  const model: Model = {
    ...fakeModel((request) => {
      requests.push(request);
      return answer(request);
    }),
    embed: async (inputs, options) => {
      embedded.push({ inputs, options });
      const images = inputs.filter((input) => typeof input !== "string").length;
      return {
        vectors: inputs.map((_, index) => Float32Array.of(1, index, 0.5)),
        usage: { total: inputs.length * 4, text: inputs.length * 4 - images, image: images },
        receipts: [],
      };
    },
    ...given.model,
  };
  let admitted = 0;
  const models = fakePool(model);
  const context = fakeContext({
    models,
    admission: {
      enter: () => {
        if (given.refuse !== undefined) throw given.refuse;
        admitted += 1;
        return () => void (admitted -= 1);
      },
      pending: new Map(),
    },
    ...(given.options === undefined ? {} : { options: given.options }),
  });
  const app = createApp(context, [routes]);
  return {
    app,
    fetch: async (input, init) => app.request(input instanceof Request ? input : String(input), init),
    requests,
    embedded,
    held: () => admitted + models.loaded()[0]!.leases,
  };
}

/** Says something and then nothing more, until it is told to end. */
export async function* sayForEver({ signal }: StreamRequest): AsyncGenerator<StreamPart> {
  yield { type: "text-delta", id: "0", delta: "Once" };
  await new Promise((_, reject) => {
    const stop = (): void => reject(new MullError("aborted", "The request was cancelled."));
    if (signal?.aborted === true) stop();
    else signal?.addEventListener("abort", stop);
  });
}

/** Says something and then breaks. */
export async function* sayAndBreak(): AsyncGenerator<StreamPart> {
  yield { type: "text-delta", id: "0", delta: "Once" };
  throw new MullError("engine_crashed", "The engine process died.");
}

/** Breaks at once. */
// oxlint-disable-next-line require-yield
export async function* breakWith(error: MullError): AsyncGenerator<StreamPart> {
  throw error;
}

/** The smallest PNG, 1x1, as a data: URL. */
export const PNG_URL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
