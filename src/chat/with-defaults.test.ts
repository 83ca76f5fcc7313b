import { describe, expect, it } from "vitest";
import type { Message } from "../spec/message.ts";
import type { ModelDefaults } from "../spec/model.ts";
import { givenDefaults, withDefaults } from "./with-defaults.ts";

const user = (content: string): Message => ({ role: "user", content });
const system = (content: string): Message => ({ role: "system", content });
const assistant = (content: string): Message => ({ role: "assistant", content });

const DEFAULTS: ModelDefaults = {
  system: "Be brief.",
  generation: { temperature: 0.25, stop: ["x"] },
  messages: [user("Hi"), assistant("Hello")],
};

describe("a request with a model's defaults", () => {
  it("has the system message, then the messages of the model, then its own", () => {
    expect(withDefaults({ messages: [user("Well?")] }, DEFAULTS).messages).toEqual([
      system("Be brief."),
      user("Hi"),
      assistant("Hello"),
      user("Well?"),
    ]);
  });

  it("says itself what the system message is, in front of the model's messages", () => {
    const own = [system("Ramble."), system("On."), user("Well?"), system("Later.")];
    expect(withDefaults({ messages: own }, DEFAULTS).messages).toEqual([
      system("Ramble."),
      system("On."),
      user("Hi"),
      assistant("Hello"),
      user("Well?"),
      system("Later."),
    ]);
  });

  it("has none of them when its prompt is raw, but all options", () => {
    const raw = withDefaults({ messages: [user("Well?")], raw: true }, DEFAULTS);
    expect(raw).toMatchObject({ messages: [user("Well?")], temperature: 0.25 });
  });

  it("goes before the defaults in every option that it says; undefined says nothing", () => {
    const request = { messages: [], temperature: 1, seed: 3, stop: undefined } as never;
    expect(withDefaults(request, DEFAULTS)).toMatchObject({ temperature: 1, seed: 3, stop: ["x"] });
    expect(withDefaults({ messages: [], temperature: 0, stop: [] }, DEFAULTS)).toMatchObject({
      temperature: 0,
      stop: [],
    });
  });

  it("is unchanged without defaults, and changes none", () => {
    const request = { messages: [user("Well?")], topK: 3 };
    expect(withDefaults(request, {})).toEqual(request);
    const frozen = structuredClone(DEFAULTS);
    withDefaults(request, DEFAULTS);
    expect(DEFAULTS).toEqual(frozen);
  });
});

describe("defaults that are given", () => {
  it("are only those that say something", () => {
    expect(givenDefaults({ generation: {}, messages: [] })).toEqual({});
    expect(givenDefaults(DEFAULTS)).toEqual(DEFAULTS);
    expect(givenDefaults({ system: "" })).toEqual({ system: "" });
  });
});
