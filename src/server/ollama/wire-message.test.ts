import { describe, expect, it } from "vitest";
import { toContent, toMessages, type WireMessage, wireMessage } from "./wire-message.ts";

const bytes = async (image: string | Uint8Array): Promise<Uint8Array> => Buffer.from(image as string);
const picture = (name: string): object => ({ type: "image", image: Buffer.from(name) });
const text = (words: string): object => ({ type: "text", text: words });

describe("pictures of a message", () => {
  it.each([
    ["stand in front of the text", "What?", ["a", "b"], [picture("a"), picture("b"), text("What?")]],
    ["stand alone when there is no text", "", ["a"], [picture("a")]],
    [
      "stand where the text says so",
      "From [img] to [img].",
      ["a", "b"],
      [text("From "), picture("a"), text(" to "), picture("b"), text(".")],
    ],
    [
      "take the places first, then the front",
      "See [img]",
      ["a", "b"],
      [picture("b"), text("See "), picture("a")],
    ],
    ["leave places that are too many as text", "[img][img]", ["a"], [picture("a"), text("[img]")]],
  ])("%s", async (_, words, images, parts) => {
    expect(await toContent(words, images, {}, "", bytes)).toEqual(parts);
  });

  it("are no concern of a text without any", async () => {
    expect(await toContent("An [img] tag", [], {}, "", bytes)).toBe("An [img] tag");
  });

  it("know their place, and what they may take of the context", async () => {
    const places: string[] = [];
    const budget = { detail: "low", maxTokens: 9 } as const;
    const [message] = await toMessages(
      [{ role: "user", content: "?", images: ["a", "b"] }],
      budget,
      async (image, where) => {
        places.push(where);
        return bytes(image);
      },
    );
    expect(places).toEqual(["messages[0].images[0]", "messages[0].images[1]"]);
    expect(message?.content[0]).toEqual({ ...picture("a"), ...budget });
    await toContent("", ["a"], {}, "", async (image, where) => {
      places.push(where);
      return bytes(image);
    });
    expect(places.at(-1)).toBe("images[0]");
  });
});

describe("messages of one role in a row", () => {
  const user = (content: string, images: string[] = []): WireMessage => ({ role: "user", content, images });

  it.each([
    ["are one text", [user("a"), user("b"), user("")], "a\n\nb"],
    [
      "keep a picture in front of its question",
      [user("", ["p"]), user("What?")],
      [picture("p"), text("What?")],
    ],
    ["keep a picture behind its question", [user("What?"), user("", ["p"])], [text("What?"), picture("p")]],
    [
      "are set apart where texts meet",
      [user("1", ["p"]), user("2"), user("3", ["q"])],
      [picture("p"), text("1"), text("\n\n"), text("2"), picture("q"), text("3")],
    ],
  ])("%s", async (_, wire, content) => {
    expect(await toMessages(wire, {}, bytes)).toEqual([{ role: "user", content }]);
  });

  it("stay apart when they call tools, answer for them, or think", async () => {
    const wire: WireMessage[] = [
      user("?"),
      { role: "assistant", content: "a", thinking: "Hm." },
      {
        role: "assistant",
        content: "b",
        tool_calls: [{ function: { name: "x" } }, { function: { name: "y" } }],
      },
      { role: "tool", content: "1" },
      { role: "tool", content: "2" },
      { role: "assistant", content: "c" },
    ];
    expect(await toMessages(wire, {}, bytes)).toHaveLength(6);
  });
});

describe("tool calls", () => {
  it("get ids where they have none, and their answers say what they answer", async () => {
    const call = (name: string, id?: string): object => ({
      ...(id === undefined ? {} : { id }),
      function: { name, arguments: { x: 1 } },
    });
    const wire = [
      { role: "user", content: "?" },
      { role: "assistant", content: "", tool_calls: [call("a"), call("b", "own")], thinking: "Hm." },
      { role: "tool", content: "2", tool_call_id: "own" },
      { role: "TOOL", content: "1", tool_name: "a" },
    ].map((message) => wireMessage.parse(message));
    const messages = await toMessages(wire, {}, bytes);
    expect(messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: "",
        reasoning: "Hm.",
        toolCalls: [
          { id: "call_1_0", name: "a", arguments: { x: 1 } },
          { id: "own", name: "b", arguments: { x: 1 } },
        ],
      },
      { role: "tool", content: "2", toolCallId: "own" },
      { role: "tool", content: "1", toolName: "a" },
    ]);
  });
});
