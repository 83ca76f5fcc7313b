import type { MediaSource, Message } from "../spec/message.ts";
import type { AskOptions, Model } from "../spec/model.ts";

/** `Model.ask` in terms of `Model.stream`: pictures first, then the question; the whole answer, trimmed. */
export async function ask(
  model: Pick<Model, "stream">,
  question: string,
  rest: readonly (MediaSource | AskOptions)[],
): Promise<string> {
  const { system, ...options } = rest.filter(isOptions).at(-1) ?? {};
  const media = rest.filter((item): item is MediaSource => !isOptions(item));
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
  for await (const part of model.stream({ messages, ...options })) {
    if (part.type === "text-delta") answer += part.delta;
  }
  return answer.trim();
}

function isOptions(item: MediaSource | AskOptions): item is AskOptions {
  return (
    typeof item === "object" &&
    !(item instanceof Uint8Array) &&
    !(item instanceof Blob) &&
    !(item instanceof URL)
  );
}
