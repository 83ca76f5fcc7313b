import { describe, expect, it } from "vitest";
import { FINISH, say } from "../../../test/support/fake-server.ts";
import { MullError } from "../../spec/errors.ts";
import type { StreamRequest } from "../../spec/model.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { choiceRequests, streamChoices } from "./choices.ts";

const REQUEST: StreamRequest = { messages: [{ role: "user", content: "Hi" }] };

/** Says something, then nothing more until it is told to end. */
async function* endless({ signal }: StreamRequest, onEnd: () => void): AsyncGenerator<StreamPart> {
  try {
    yield { type: "text-delta", id: "0", delta: "x" };
    await new Promise((_, reject) => {
      const stop = (): void => reject(new MullError("aborted", "Cancelled."));
      if (signal?.aborted === true) stop();
      else signal?.addEventListener("abort", stop);
    });
  } finally {
    onEnd();
  }
}

async function* asStream(parts: Iterable<StreamPart>): AsyncGenerator<StreamPart> {
  yield* parts;
}

describe("choiceRequests", () => {
  it("differ in their seeds only", () => {
    expect(choiceRequests({ ...REQUEST, seed: 2 ** 32 - 1 }, 3).map(({ seed }) => seed)).toEqual([
      2 ** 32 - 1,
      0,
      1,
    ]);
    expect(choiceRequests(REQUEST, 2)).toEqual([REQUEST, REQUEST]);
  });
});

describe("streamChoices", () => {
  it("yields every part of every answer, each in its order", async () => {
    let made = 0;
    const texts = ["", "", ""];
    const parts = streamChoices(
      () => {
        const name = String(made++);
        return asStream(say(name, name.repeat(2)));
      },
      choiceRequests(REQUEST, 3),
      new AbortController().signal,
    );
    for await (const { index, part } of parts) if (part.type === "text-delta") texts[index] += part.delta;
    expect(texts).toEqual(["000", "111", "222"]);
  });

  it("ends the others when one fails", async () => {
    let ended = 0;
    const requests = choiceRequests({ ...REQUEST, seed: 0 }, 3);
    const parts = streamChoices(
      async function* (request) {
        if (request.seed === 1) throw new MullError("context_overflow", "Too long.");
        yield* endless(request, () => (ended += 1));
      },
      requests,
      new AbortController().signal,
    );
    const drain = async (): Promise<void> => {
      for await (const _ of parts);
    };
    await expect(drain()).rejects.toMatchObject({ code: "context_overflow" });
    expect(ended).toBe(2);
  });

  it("ends all when it is left, and when the signal fires", async () => {
    let ended = 0;
    const stream = (request: StreamRequest): AsyncIterable<StreamPart> =>
      endless(request, () => (ended += 1));
    for await (const { part } of streamChoices(stream, [REQUEST, REQUEST], new AbortController().signal)) {
      expect(part.type).toBe("text-delta");
      break;
    }
    expect(ended).toBe(2);

    const client = new AbortController();
    const drain = async (): Promise<void> => {
      for await (const _ of streamChoices(stream, [REQUEST, REQUEST], client.signal)) client.abort();
    };
    await expect(drain()).rejects.toMatchObject({ code: "aborted" });
    expect(ended).toBe(4);
  });

  it("a failure that comes while nobody asks is told when somebody does", async () => {
    const parts = streamChoices(
      async function* (request) {
        yield FINISH;
        if (request.seed === 0) throw new MullError("engine_crashed", "Gone.");
      },
      choiceRequests({ ...REQUEST, seed: 0 }, 2),
      new AbortController().signal,
    );
    await parts.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const drain = async (): Promise<void> => {
      for await (const _ of parts);
    };
    await expect(drain()).rejects.toMatchObject({ code: "engine_crashed" });
  });
});
