import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Model, MullError, type StreamPart, type StreamRequest, load } from "mull";
import { type ChatServer, type ServedFiles, chat, startLlamaServer, startMull } from "./chat-server.ts";
import { testPicture } from "./test-picture.ts";

const USAGE = `Measures what a server is for: repeated pictures, many askers, and its own cost.

  npm run bench:serve -- --model M.gguf --projector P.gguf [--part repeat|together|rate|cost] [--askers 8] [--tokens 32]
  npm run bench:serve -- --part cost          (with pico)

LLAMA_SERVER may name llama.cpp's llama-server, which is then asked the same questions in the same run.`;

type Finish = Extract<StreamPart, { type: "finish" }>;
type Heard = Finish & { cachedIn: string | undefined };

const QUESTIONS = ["What is in this picture?", "Which colours?"] as const;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string" },
      projector: { type: "string" },
      part: { type: "string" },
      askers: { type: "string", default: "8" },
      tokens: { type: "string", default: "32" },
    },
  });
  const { model, projector, part } = values;
  const wants = (name: string): boolean => part === undefined || part === name;
  const cache = mkdtempSync(join(tmpdir(), "mull-bench-cache-"));
  process.env["MULL_CACHE_DIR"] = cache;
  try {
    if (model !== undefined && projector !== undefined) {
      if (wants("repeat")) await measureRepeats({ model, projector });
      if (wants("together")) {
        await measureTogether({ model, projector }, Number(values.askers), Number(values.tokens), cache);
      }
      if (wants("rate")) await measureRate({ model, projector }, Number(values.tokens), cache);
    } else if (part !== "cost") throw new MullError("invalid_argument", USAGE);
    if (wants("cost")) await measureCost(cache);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

/** A second question about a picture: in the same process, in a new one, and behind another system message. */
async function measureRepeats(files: { model: string; projector: string }): Promise<void> {
  const picture = testPicture(640, 480, 1);
  let model = await load({ ...files, device: "cpu" });
  const first = await ask(model, picture, QUESTIONS[0]);
  const same = await ask(model, picture, QUESTIONS[1]);
  await model.close();
  model = await load({ ...files, device: "cpu" });
  const anew = await ask(model, picture, QUESTIONS[1]);
  const rows = await ask(model, picture, QUESTIONS[1], "Be brief.");
  await model.close();

  // What comes before the question's own tokens: finding and restoring, or encoding and reading.
  const own = same.timings.prefillMs;
  const before = ({ timings }: Finish, ownMs: number): number =>
    timings.decodeMs + timings.restoreMs + timings.encodeMs + timings.prefillMs - ownMs;
  const firstBefore = before(first, own);
  const anewBefore = before(anew, anew.timings.prefillMs);
  row("first question: everything before its own tokens", firstBefore, "ms");
  row("  encode", first.timings.encodeMs, "ms");
  row(`same process (${same.cachedIn}): restore`, same.timings.restoreMs, "ms");
  row(`new process (${anew.cachedIn}): everything before its own tokens`, anewBefore, "ms");
  row("  restore", anew.timings.restoreMs, "ms");
  row("  ratio to the first", anewBefore / firstBefore);
  row("new process: first token", anew.timings.firstTokenMs, "ms");
  row("  ratio to the first", anew.timings.firstTokenMs / first.timings.firstTokenMs);
  row(`another system message (${rows.cachedIn}): encode`, rows.timings.encodeMs, "ms");
}

async function ask(model: Model, image: Uint8Array, text: string, system?: string): Promise<Heard> {
  const messages: StreamRequest["messages"] = [
    ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
    {
      role: "user",
      content: [
        { type: "image", image },
        { type: "text", text },
      ],
    },
  ];
  let cachedIn: string | undefined;
  for await (const part of model.stream({ messages, maxTokens: 2 })) {
    if (part.type === "media") cachedIn = part.receipt.cachedIn ?? "not cached";
    if (part.type === "finish") return { ...part, cachedIn };
  }
  throw new MullError("internal", "The stream ended without a finish part.");
}

/** Questions about as many different pictures: all at once, one by one, and to llama-server all at once. */
async function measureTogether(
  files: { model: string; projector: string },
  askers: number,
  tokens: number,
  cache: string,
): Promise<void> {
  const served: ServedFiles = { ...files, threads: 2, contextLength: 1024, parallel: askers };
  const question = (seed: number): Parameters<typeof chat>[1] => ({
    text: QUESTIONS[0],
    picture: testPicture(640, 480, seed),
    tokens,
  });
  const all = async (server: ChatServer, from: number): Promise<number> => {
    const started = performance.now();
    const replies = await Promise.all(
      Array.from({ length: askers }, (_, index) => chat(server, question(from + index))),
    );
    const answered = replies.reduce((sum, { answerTokens }) => sum + answerTokens, 0);
    console.log(`  ${replies[0]?.promptTokens} prompt tokens each, ${answered} answer tokens in all`);
    return performance.now() - started;
  };
  const mull = await startMull(served, { MULL_CACHE_DIR: cache });
  let together: number;
  let single = 0;
  try {
    await chat(mull, { text: "Hello", tokens: 1 });
    together = await all(mull, 100);
    for (let index = 0; index < askers; index++)
      single += (await chat(mull, question(200 + index))).milliseconds;
  } finally {
    await mull.close();
  }
  row(`${askers} pictures at once`, together, "ms");
  row("one by one", single, "ms");
  row("  ratio", together / single);
  const binary = process.env["LLAMA_SERVER"];
  if (binary === undefined) return;
  const peer = await startLlamaServer(binary, served);
  try {
    await chat(peer, { text: "Hello", tokens: 1 });
    const theirs = await all(peer, 300);
    row("llama-server, at once", theirs, "ms");
    row("  ratio", together / theirs);
  } finally {
    await peer.close();
  }
}

const RATE_ROUNDS = 4;

/** How fast answers are written through the server, and as a library: the same file loaded twice, asked in turn. */
async function measureRate(
  files: { model: string; projector: string },
  tokens: number,
  cache: string,
): Promise<void> {
  const text = "Hello";
  const model = await load({ ...files, device: "cpu", contextLength: 1024 });
  const served: ServedFiles = { ...files, threads: model.info.threads, contextLength: 1024, parallel: 1 };
  const server = await startMull(served, { MULL_CACHE_DIR: cache });
  try {
    const library = async (): Promise<number> => {
      const started = performance.now();
      for await (const _ of model.stream({ messages: [{ role: "user", content: text }], maxTokens: tokens }));
      return performance.now() - started;
    };
    const remote = async (): Promise<number> => (await chat(server, { text, tokens })).milliseconds;
    await library();
    await remote();
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let round = 0; round < RATE_ROUNDS; round++) {
      ours.push(await library());
      theirs.push(await remote());
    }
    row(`${tokens} tokens as a library`, median(ours), "ms");
    row(`${tokens} tokens through the server`, median(theirs), "ms");
    row("  ratio of the rates", median(ours) / median(theirs));
  } finally {
    await server.close();
    await model.close();
  }
}

const COST_ROUNDS = 60;

/** What HTTP, JSON and routes add to the engine: the same questions to pico as a library and as a server. */
async function measureCost(cache: string): Promise<void> {
  const text = "Tell me about the red circle and the green star.";
  const request: StreamRequest = { messages: [{ role: "user", content: text }], maxTokens: 24 };
  const model = await load({ model: "pico", parallel: 4 });
  const served = await startMull(
    {
      model: model.info.files.model,
      projector: model.info.files.projector ?? "",
      threads: 1,
      contextLength: 1024,
      parallel: 4,
    },
    { MULL_CACHE_DIR: cache },
  );
  try {
    const library = async (): Promise<number> => {
      const started = performance.now();
      for await (const _ of model.stream(request));
      return performance.now() - started;
    };
    const server = async (): Promise<number> => (await chat(served, { text, tokens: 24 })).milliseconds;
    for (let round = 0; round < 50; round++) await Promise.all([library(), server()]);
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let round = 0; round < COST_ROUNDS; round++) {
      ours.push(await library());
      theirs.push(await server());
    }
    row("pico as a library, one request", median(ours), "ms");
    row("pico through the server", median(theirs), "ms");
    row("  added", median(theirs) - median(ours), "ms");
    const rate = async (one: () => Promise<number>): Promise<number> => {
      const started = performance.now();
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          for (let round = 0; round < 20; round++) await one();
        }),
      );
      return (4 * 20 * 24 * 1000) / (performance.now() - started);
    };
    const rates: { library: number[]; server: number[] } = { library: [], server: [] };
    for (let round = 0; round < 3; round++) {
      rates.library.push(await rate(library));
      rates.server.push(await rate(server));
    }
    row("tokens/s of four at once, library", median(rates.library));
    row("tokens/s of four at once, server", median(rates.server));
    row("  ratio", median(rates.server) / median(rates.library));
  } finally {
    await served.close();
    await model.close();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function row(title: string, value: number, unit = ""): void {
  console.log(`${title.padEnd(60)}${value.toFixed(value < 10 ? 4 : 1).padStart(12)} ${unit}`);
}

try {
  await main();
} catch (error) {
  const failure = MullError.wrap(error);
  console.error(failure.message);
  if (failure.hint !== undefined) console.error(failure.hint);
  process.exitCode = failure.exitCode;
}
