import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fakeModel, FINISH, INFO } from "../../../test/support/fake-server.ts";
import { MullError } from "../../spec/errors.ts";
import type { Message } from "../../spec/message.ts";
import type { Model, StreamRequest } from "../../spec/model.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { streamFitting } from "./stream-fitting.ts";

/** A model for which each message, or picture, is one token, and which reads at most `context - 1` of them. */
function shortModel(context: number): { model: Model; asked: (readonly Message[])[] } {
  const asked: (readonly Message[])[] = [];
  const tokens = ({ messages }: StreamRequest): number =>
    messages.reduce((sum, { content }) => sum + (typeof content === "string" ? 1 : content.length), 0);
  const model: Model = {
    ...fakeModel(),
    info: { ...INFO, contextLength: context },
    async *stream(request): AsyncGenerator<StreamPart> {
      if (tokens(request) >= context) throw new MullError("context_overflow", "too long");
      asked.push(request.messages);
      yield FINISH;
    },
    // An engine may refuse to count, too, what is too long.
    countTokens: async (request) => {
      const total = tokens(request);
      if (total > context) throw new MullError("context_overflow", "too long");
      return { total, text: 0, image: 0 };
    },
  };
  return { model, asked };
}

const system: Message = { role: "system", content: "Be brief." };
const user = (content: string): Message => ({ role: "user", content });
const assistant: Message = { role: "assistant", content: "Yes." };
const seeing: Message = { role: "user", content: [{ type: "image", image: new Uint8Array() }] };

async function ask(
  context: number,
  messages: readonly Message[],
  truncate?: boolean,
): Promise<{ messages: readonly Message[] | undefined; leftOut: number }> {
  const { model, asked } = shortModel(context);
  const fitting = streamFitting(model, { messages }, truncate);
  for await (const part of fitting.parts) expect(part).toBe(FINISH);
  return { messages: asked[0], leftOut: fitting.leftOut };
}

describe("a conversation that does not fit", () => {
  const talk = [system, user("1"), assistant, user("2"), assistant, user("3")];

  it("loses as few of its oldest turns as possible, and no system message", async () => {
    expect(await ask(7, talk)).toEqual({ messages: talk, leftOut: 0 });
    expect(await ask(6, talk)).toEqual({ messages: [system, ...talk.slice(3)], leftOut: 2 });
    expect(await ask(3, talk)).toEqual({ messages: [system, talk[5]], leftOut: 4 });
  });

  it("leaves a quarter of the context to the answer, if it can", async () => {
    const long = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? user("?") : assistant));
    const asked = [...long, user("last")];
    // 12 of 16 for the prompt, and turns begin with a question.
    expect((await ask(16, asked)).messages).toHaveLength(11);
    const systems = Array.from({ length: 13 }, () => system);
    expect((await ask(16, [...systems, ...asked])).messages).toHaveLength(14);
  });

  it("is an error when its last turn alone is too long, or nothing may be lost", async () => {
    await expect(ask(2, talk)).rejects.toMatchObject({ code: "context_overflow" });
    await expect(ask(6, talk, false)).rejects.toMatchObject({ code: "context_overflow" });
  });

  it("loses a picture only when it is said that it may", async () => {
    const shown = [user("1"), assistant, seeing, assistant, user("3")];
    expect((await ask(5, shown)).messages).toEqual(shown.slice(2));
    await expect(ask(3, shown)).rejects.toMatchObject({ code: "context_overflow" });
    expect((await ask(3, shown, true)).messages).toEqual([user("3")]);
  });

  it("of any shape is cut at a question so that it fits, or refused", async () => {
    const message = fc.constantFrom(system, user("?"), assistant, seeing);
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { maxLength: 12 }),
        fc.integer({ min: 1, max: 12 }),
        async (talk, context) => {
          const all = [...talk, user("last")];
          const refused = (error: unknown): undefined => {
            expect(MullError.wrap(error).code).toBe("context_overflow");
          };
          const outcome = await ask(context, all).catch(refused);
          const { messages: kept = all, leftOut = 0 } = outcome ?? {};
          expect(kept.at(-1)).toEqual(user("last"));
          for (const stays of [system, seeing]) {
            expect(kept.filter((kind) => kind === stays)).toEqual(all.filter((kind) => kind === stays));
          }
          expect(leftOut).toBe(all.length - kept.length);
        },
      ),
    );
  });
});
