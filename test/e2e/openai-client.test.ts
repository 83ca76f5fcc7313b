import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startServer } from "../../src/server/start-server.ts";
import { temporaryFolder } from "../support/tiny-models.ts";

/** OpenAI's client as it comes from npm, unmodified, against a server with pico on a real socket. */
const folder = temporaryFolder();
let server: Awaited<ReturnType<typeof startServer>>;
let openai: OpenAI;

beforeAll(async () => {
  for (const name of ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"]) vi.stubEnv(name, folder.path);
  server = await startServer({ port: 0 });
  openai = new OpenAI({ apiKey: "none", baseURL: `${server.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await server.close();
  vi.unstubAllEnvs();
});

function dataUrl(example: string): string {
  const bytes = readFileSync(new URL(`../../examples/${example}`, import.meta.url));
  return `data:image/png;base64,${bytes.toString("base64")}`;
}

function ask(text: string, ...pictures: string[]): OpenAI.ChatCompletionMessageParam[] {
  const parts = pictures.map((url) => ({ type: "image_url", image_url: { url } }) as const);
  return [{ role: "user", content: [...parts, { type: "text", text }] }];
}

const smile = dataUrl("smile.png");
const circle = dataUrl("red-circle.png");
const greedy = { model: "pico", temperature: 0 } as const;
const COLOUR = { type: "object", properties: { colour: { enum: ["red", "blue"] } }, required: ["colour"] };
const WEATHER = {
  name: "weather",
  description: "The weather of a city.",
  parameters: {
    type: "object",
    properties: { city: { enum: ["Bonn", "Rome"] } },
    required: ["city"],
    additionalProperties: false,
  },
};

async function failureOf(work: PromiseLike<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  try {
    await work;
  } catch (error) {
    if (error instanceof OpenAI.APIError) return error;
    throw error;
  }
  throw new Error("It did not fail.");
}

function cosine(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

describe("chat", () => {
  it("is about a picture", async () => {
    const completion = await openai.chat.completions.create({
      ...greedy,
      messages: ask("What's in this image?", smile),
    });
    const [choice] = completion.choices;
    expect(choice).toMatchObject({ finish_reason: "stop", message: { role: "assistant" } });
    expect(choice?.message.content).toMatch(/yellow smiley face/);
    const { usage } = completion;
    expect(usage?.total_tokens).toBe(usage!.prompt_tokens + usage!.completion_tokens);
    expect(usage?.prompt_tokens_details).toMatchObject({ image_tokens: expect.any(Number) });
    expect(completion).toMatchObject({ receipts: [{ kind: "image", format: "png" }] });
  });

  it("says the same piece by piece, and what was cached", async () => {
    const messages = ask("What colour is it?", circle);
    const whole = await openai.chat.completions.create({ ...greedy, messages });
    const stream = openai.chat.completions.stream({
      ...greedy,
      messages,
      stream_options: { include_usage: true },
    });
    expect(await stream.finalContent()).toBe(whole.choices[0]?.message.content);
    expect(whole.choices[0]?.message.content).toMatch(/red/);
    const { usage } = await stream.finalChatCompletion();
    expect(usage?.prompt_tokens).toBe(whole.usage?.prompt_tokens);
    expect(usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(0);
  });

  it("looks closely, or not", async () => {
    const seen = async (detail: "low" | "high"): Promise<number> => {
      const { usage } = await openai.chat.completions.create({
        ...greedy,
        max_tokens: 1,
        messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: smile, detail } }] }],
      });
      return (usage!.prompt_tokens_details as { image_tokens: number }).image_tokens;
    };
    expect(await seen("low")).toBeLessThan((await seen("high")) / 2);
  });

  it("gives several answers, each from a seed of its own", async () => {
    const request = { model: "pico", messages: ask("Who are you?"), n: 2, seed: 3, max_tokens: 12 };
    const first = await openai.chat.completions.create(request);
    expect(first.choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(first.usage?.completion_tokens).toBeLessThanOrEqual(24);
    const again = await openai.chat.completions.create({ ...request, n: 1, seed: 4 });
    expect(again.choices[0]?.message.content).toBe(first.choices[1]?.message.content);
  });

  it("ends where it is told to", async () => {
    const messages = ask("What's in this image?", smile);
    const short = await openai.chat.completions.create({ ...greedy, messages, max_completion_tokens: 2 });
    expect(short).toMatchObject({ choices: [{ finish_reason: "length" }], usage: { completion_tokens: 2 } });
    const stopped = await openai.chat.completions.create({ ...greedy, messages, stop: ["yellow"] });
    expect(stopped.choices[0]?.finish_reason).toBe("stop");
    expect(stopped.choices[0]?.message.content).not.toMatch(/yellow/);
  });

  it("fits a schema while it looks at a picture", async () => {
    const { choices } = await openai.chat.completions.parse({
      ...greedy,
      messages: ask("What colour is it?", circle),
      response_format: { type: "json_schema", json_schema: { name: "Colour", strict: true, schema: COLOUR } },
    });
    const parsed = choices[0]?.message.parsed as { colour: string } | null | undefined;
    expect(["red", "blue"]).toContain(parsed?.colour);
  });

  it("calls the tool that it must call", async () => {
    const tool_choice = { type: "function", function: { name: "weather" } } as const;
    const { choices } = await openai.chat.completions.create({
      ...greedy,
      messages: ask("What is the weather in Rome?"),
      tools: [{ type: "function", function: WEATHER }],
      tool_choice,
      max_tokens: 100,
    });
    expect(choices[0]?.finish_reason).toBe("tool_calls");
    const [call] = choices[0]?.message.tool_calls ?? [];
    expect(call).toMatchObject({ type: "function", function: { name: "weather" } });
    const { city } = JSON.parse((call as { function: { arguments: string } }).function.arguments) as {
      city: string;
    };
    expect(["Bonn", "Rome"]).toContain(city);
  });

  it("gives log probabilities", async () => {
    const { choices, usage } = await openai.chat.completions.create({
      ...greedy,
      messages: ask("Who are you?"),
      max_tokens: 4,
      logprobs: true,
      top_logprobs: 2,
    });
    const content = choices[0]?.logprobs?.content ?? [];
    expect(content).toHaveLength(usage!.completion_tokens);
    expect(content[0]?.logprob).toBeLessThanOrEqual(0);
    expect(content[0]?.top_logprobs).toHaveLength(2);
  });

  it("ends when the client goes away, and goes on for others", async () => {
    const stream = await openai.chat.completions.create({
      model: "pico",
      messages: ask("Who are you?"),
      stream: true,
      max_tokens: -1,
    });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content !== "") break;
    const { choices } = await openai.chat.completions.create({ ...greedy, messages: ask("Who are you?") });
    expect(choices[0]?.message.content).toMatch(/pico/);
  });
});

describe("responses", () => {
  const input: OpenAI.Responses.ResponseInput = [
    {
      role: "user",
      content: [
        { type: "input_image", image_url: smile, detail: "auto" },
        { type: "input_text", text: "What colour is it?" },
      ],
    },
  ];

  it("are about a picture, whole and event by event", async () => {
    const whole = await openai.responses.create({ ...greedy, input });
    expect(whole).toMatchObject({ status: "completed", store: false });
    expect(whole.output_text).toMatch(/yellow/);
    const stream = openai.responses.stream({ ...greedy, input });
    const numbers: number[] = [];
    for await (const event of stream) numbers.push(event.sequence_number);
    expect(numbers).toEqual(numbers.map((_, index) => index));
    expect((await stream.finalResponse()).output_text).toBe(whole.output_text);
  });

  it("say that they were cut", async () => {
    const cut = await openai.responses.create({ ...greedy, input, max_output_tokens: 2 });
    expect(cut).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      usage: { output_tokens: 2 },
    });
  });

  it("go on with what came back", async () => {
    const first = await openai.responses.create({ ...greedy, input });
    const more = [...input, ...first.output, { role: "user", content: "What colour is it?" }] as typeof input;
    expect((await openai.responses.create({ ...greedy, input: more })).output_text).toMatch(/yellow/);
  });

  it("fit a schema", async () => {
    const { output_parsed: parsed } = await openai.responses.parse({
      ...greedy,
      input,
      text: { format: { type: "json_schema", name: "Colour", strict: true, schema: COLOUR } },
    });
    expect(["red", "blue"]).toContain((parsed as { colour: string } | null)?.colour);
  });
});

it("completions go on with a text", async () => {
  const request = { ...greedy, prompt: "The colour of the sky is", max_tokens: 4 };
  const whole = await openai.completions.create({ ...request, echo: true });
  expect(whole.choices[0]?.text.startsWith(request.prompt)).toBe(true);
  expect(whole.usage?.completion_tokens).toBeLessThanOrEqual(4);
  let text = "";
  for await (const { choices } of await openai.completions.create({ ...request, stream: true })) {
    text += choices[0]?.text ?? "";
  }
  expect(request.prompt + text).toBe(whole.choices[0]?.text);
});

it("embeddings are of texts and pictures in one space", async () => {
  const input = ["a red circle", "a red circle", "six", { image: circle }] as unknown as string[];
  const { data, usage } = await openai.embeddings.create({ model: "pico", input });
  const [first, same, other, picture] = data.map(({ embedding }) => Array.from(embedding)) as [
    number[],
    number[],
    number[],
    number[],
  ];
  expect(cosine(first, same)).toBeCloseTo(1, 4);
  expect(cosine(first, other)).toBeLessThan(0.999);
  expect(cosine(picture, picture)).toBeCloseTo(1, 4);
  expect(picture).toHaveLength(first.length);
  expect(usage.prompt_tokens).toBeGreaterThan(0);
  const plain = await openai.embeddings.create({ model: "pico", input: "six", encoding_format: "float" });
  expect(cosine(plain.data[0]!.embedding, other)).toBeCloseTo(1, 4);
});

it("models are listed", async () => {
  const { data } = await openai.models.list();
  expect(data.map(({ id }) => id)).toContain("pico:latest");
  expect((await openai.models.retrieve("pico")).object).toBe("model");
});

describe("errors are the client's classes", () => {
  it("an unknown model", async () => {
    const error = await failureOf(openai.chat.completions.create({ model: "none", messages: ask("Hi") }));
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error.code).toBe("model_not_found");
  });

  it("a damaged picture, with its place", async () => {
    const messages = ask("?", smile.slice(0, 2000));
    const error = await failureOf(openai.chat.completions.create({ model: "pico", messages }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
  });

  it("a picture by URL", async () => {
    const messages = ask("?", "https://example.com/cat.png");
    const error = await failureOf(openai.chat.completions.create({ model: "pico", messages }));
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
  });

  it("a prompt that does not fit, streamed or not", async () => {
    const messages = ask("word ".repeat(20_000));
    for (const stream of [false, true]) {
      const error = await failureOf(openai.chat.completions.create({ model: "pico", messages, stream }));
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error.code).toBe("context_length_exceeded");
    }
  });
});
