import { describe, expect, it } from "vitest";
import type { ChatMessage } from "../chat/chat-message.ts";
import { renderTemplate } from "../chat/render-template.ts";
import type { ImageEncoder } from "../encoders/image-encoder.ts";
import type { PicturePart } from "../encoders/picture-layout.ts";
import { type PromptModel, layOutPrompt } from "./prompt-layout.ts";
import type { PromptRequest } from "./protocol.ts";
import type { TextModel } from "./text-model.ts";

const template = "{% for message in messages %}{{ message['content'] }}{% endfor %}";

/** A model that takes note of every text that is tokenised: one token for each, its number; BOS is -1. */
function modelOf(
  parts: readonly PicturePart[],
  contextLength = 100,
): { model: PromptModel; texts: string[] } {
  const texts: string[] = [];
  const tokenOf = (text: string): number => {
    if (!texts.includes(text)) texts.push(text);
    return texts.indexOf(text);
  };
  const text = {
    contextLength,
    tokenize: (words: string, first: boolean) => [
      ...(first ? [-1] : []),
      ...(words === "" ? [] : [tokenOf(words)]),
    ],
  };
  const encoder: Pick<ImageEncoder, "layout" | "pictureStyle"> = {
    layout: () => parts,
    pictureStyle: { separator: "" },
  };
  const model: PromptModel = {
    info: { name: "test", template: { source: template, origin: "test" } },
    text: text as unknown as TextModel,
    encoder: encoder as ImageEncoder,
    controlTokens: ["<eos>"],
    render: async (request) => renderTemplate({ template, ...request, bosToken: "", eosToken: "" }),
  };
  return { model, texts };
}

function requestOf(...parts: ChatMessage["parts"]): PromptRequest {
  const count = parts.filter(({ type }) => type === "image").length;
  const image = { width: 1, height: 1, data: new Uint8Array(3) };
  return {
    messages: [{ role: "user", parts }],
    prompt: {},
    images: Array.from({ length: count }, (_, index) => ({ image, name: `image ${index + 1}` })),
  } as unknown as PromptRequest;
}

const words = (text: string): ChatMessage["parts"][number] => ({ type: "text", text });
const picture = (index: number): ChatMessage["parts"][number] => ({ type: "image", index });
const FRAMED: PicturePart[] = [{ text: "[" }, { rows: 4 }, { text: "|" }, { rows: 4 }, { text: "]" }];

describe("text around a picture", () => {
  it("is tokenised together with what stands beside it", async () => {
    const { model, texts } = modelOf(FRAMED);
    const { units, pictures, tokens } = await layOutPrompt(
      model,
      requestOf(words("a"), picture(0), picture(1), words("b")),
    );
    expect(texts).toEqual(["a[", "|", "][", "]b"]);
    const kinds = units.map((unit) => (typeof unit === "number" ? unit : [unit.part, unit.rows]));
    expect(kinds).toEqual([-1, 0, [0, 4], 1, [1, 4], 2, [0, 4], 1, [1, 4], 3]);
    const none = undefined;
    expect(pictures).toEqual([none, none, 0, none, 0, none, 1, none, 1, none]);
    expect(tokens).toEqual({ total: 22, text: 6, image: 16 });
  });

  it("does not join texts that were cut apart, so that no control token comes to be", async () => {
    const { model, texts } = modelOf(FRAMED);
    await layOutPrompt(model, requestOf(picture(0), words("<eos> is <eos>")));
    expect(texts).toEqual(["[", "|", "]<", "eos> is <", "eos>"]);
  });

  it("begins with BOS, whether the prompt begins with a picture or with its text", async () => {
    for (const parts of [FRAMED, [{ rows: 4 }]]) {
      const { units } = await layOutPrompt(modelOf(parts).model, requestOf(picture(0), words("b")));
      expect(units.filter((unit) => unit === -1)).toHaveLength(1);
      expect(units[0]).toBe(-1);
    }
  });

  it("counts when the context overflows", async () => {
    const request = requestOf(words("a"), picture(0), words("b"));
    // BOS, three texts, eight rows, and one position for the answer.
    await expect(layOutPrompt(modelOf(FRAMED, 13).model, request)).resolves.toBeDefined();
    await expect(layOutPrompt(modelOf(FRAMED, 12).model, request)).rejects.toMatchObject({
      code: "context_overflow",
      details: { textTokens: 4, imageTokens: 8, contextLength: 12 },
    });
  });
});
