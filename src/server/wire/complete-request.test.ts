import { describe, expect, it } from "vitest";
import type { StreamRequest } from "../../spec/model.ts";
import type { CatalogEntry } from "../model-pool.ts";
import { completeRequest } from "./complete-request.ts";

const ENTRY: CatalogEntry = {
  name: "pirate:latest",
  load: { model: "pico" },
  system: "Talk like a pirate.",
  messages: [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Arr!" },
  ],
  generation: { temperature: 0.3, topK: 5 },
  bytes: 1,
  modifiedAt: new Date(0),
  digest: "0".repeat(64),
};
const ASKED: StreamRequest = { messages: [{ role: "user", content: "Who are you?" }] };

describe("completeRequest", () => {
  it("puts the saved conversation in front", () => {
    const { messages } = completeRequest(ASKED, ENTRY, {}, undefined);
    expect(messages.map(({ content }) => content)).toEqual([
      "Talk like a pirate.",
      "Hi",
      "Arr!",
      "Who are you?",
    ]);
  });

  it("lets the request's own system message take the place of the saved one", () => {
    const own: StreamRequest = { messages: [{ role: "system", content: "Be kind." }, ...ASKED.messages] };
    const { messages } = completeRequest(own, ENTRY, {}, undefined);
    expect(messages.map(({ content }) => content)).toEqual(["Be kind.", "Hi", "Arr!", "Who are you?"]);
  });

  it("makes one turn of messages of one role in a row", () => {
    const twice: StreamRequest = { messages: [...ASKED.messages, { role: "user", content: "Well?" }] };
    const { messages } = completeRequest(twice, ENTRY, {}, undefined);
    expect(messages.at(-1)).toEqual({ role: "user", content: "Who are you?\n\nWell?" });
  });

  it("leaves a raw prompt alone", () => {
    expect(completeRequest({ ...ASKED, raw: true }, ENTRY, {}, undefined).messages).toEqual(ASKED.messages);
  });

  it("asks the request first, then the saved model, then the dialect", () => {
    expect(
      completeRequest({ ...ASKED, topK: 1 }, ENTRY, { temperature: 1, topP: 1, topK: 40 }, undefined),
    ).toMatchObject({ temperature: 0.3, topP: 1, topK: 1 });
  });

  it.each([
    [undefined, undefined, undefined],
    [undefined, 7, 7],
    [-1, 7, 7],
    [5, 7, 5],
    [9, 7, 7],
    [9, undefined, 9],
  ])("of %j tokens asked and at most %j gives %j", (asked, most, given) => {
    const request = asked === undefined ? ASKED : { ...ASKED, maxTokens: asked };
    expect(completeRequest(request, ENTRY, {}, most).maxTokens).toBe(given);
  });
});
