import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startServer } from "../../src/server/start-server.ts";
import { temporaryFolder } from "../support/tiny-models.ts";

/** Anthropic's client as it comes from npm, unmodified, against a server with pico on a real socket. */
const folder = temporaryFolder();
let server: Awaited<ReturnType<typeof startServer>>;
let anthropic: Anthropic;

beforeAll(async () => {
  for (const name of ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"]) vi.stubEnv(name, folder.path);
  server = await startServer({ port: 0 });
  anthropic = new Anthropic({ apiKey: "none", baseURL: server.url, maxRetries: 0 });
});

afterAll(async () => {
  await server.close();
  vi.unstubAllEnvs();
});

function ask(text: string, example?: string): Anthropic.MessageParam[] {
  if (example === undefined) return [{ role: "user", content: text }];
  const data = readFileSync(new URL(`../../examples/${example}`, import.meta.url)).toString("base64");
  const source = { type: "base64", media_type: "image/png", data } as const;
  return [
    {
      role: "user",
      content: [
        { type: "image", source },
        { type: "text", text },
      ],
    },
  ];
}

const greedy = { model: "pico", max_tokens: 100, temperature: 0 } as const;

describe("messages", () => {
  it("are about a picture, whole and event by event", async () => {
    const messages = ask("What's in this image?", "smile.png");
    const whole = await anthropic.messages.create({ ...greedy, messages });
    expect(whole).toMatchObject({ stop_reason: "end_turn", receipts: [{ kind: "image", format: "png" }] });
    const [block] = whole.content;
    expect(block).toMatchObject({ type: "text", text: expect.stringMatching(/yellow smiley face/) });

    const stream = anthropic.messages.stream({ ...greedy, messages });
    expect(await stream.finalText()).toBe((block as { text: string }).text);
    const { usage } = await stream.finalMessage();
    expect(usage.output_tokens).toBe(whole.usage.output_tokens);
    expect(usage.cache_read_input_tokens).toBeGreaterThan(0);
    const read = ({ input_tokens, cache_read_input_tokens }: Anthropic.Usage): number =>
      input_tokens + (cache_read_input_tokens ?? 0);
    expect(read(usage)).toBe(read(whole.usage));
    expect(await anthropic.messages.countTokens({ model: "pico", messages })).toEqual({
      input_tokens: read(usage),
    });
  });

  it("end where they are told to", async () => {
    const messages = ask("What's in this image?", "smile.png");
    const short = await anthropic.messages.create({ ...greedy, messages, max_tokens: 2 });
    expect(short).toMatchObject({ stop_reason: "max_tokens", usage: { output_tokens: 2 } });
    const stopped = await anthropic.messages.create({ ...greedy, messages, stop_sequences: ["yellow"] });
    expect(JSON.stringify(stopped.content)).not.toMatch(/yellow/);
    expect(stopped).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: "yellow" });
  });

  it("call the tool that they must call, and go on with its answer", async () => {
    const tools: Anthropic.Tool[] = [
      {
        name: "weather",
        description: "The weather of a city.",
        input_schema: {
          type: "object",
          properties: { city: { enum: ["Bonn", "Rome"] } },
          required: ["city"],
          additionalProperties: false,
        },
      },
    ];
    const messages = ask("What is the weather in Rome?");
    const first = await anthropic.messages.create({
      ...greedy,
      messages,
      tools,
      tool_choice: { type: "tool", name: "weather" },
    });
    expect(first.stop_reason).toBe("tool_use");
    const call = first.content.find(({ type }) => type === "tool_use") as Anthropic.ToolUseBlock;
    expect(["Bonn", "Rome"]).toContain((call.input as { city: string }).city);
    const second = await anthropic.messages.create({
      ...greedy,
      tools,
      messages: [
        ...messages,
        { role: "assistant", content: first.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "Sunny" }] },
      ],
    });
    expect(second.usage.output_tokens).toBeGreaterThan(0);
  });
});

it("errors are the client's classes", async () => {
  const unknown = anthropic.messages.create({ ...greedy, model: "none", messages: ask("Hi") });
  await expect(unknown).rejects.toBeInstanceOf(Anthropic.NotFoundError);
  const long = anthropic.messages.create({ ...greedy, messages: ask("word ".repeat(20_000)) });
  await expect(long).rejects.toBeInstanceOf(Anthropic.BadRequestError);
});
