import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Model, type ModelInfo, MullError, type StreamPart, type StreamRequest, load } from "mull";
import { llamaBench, mtmdPicture, peakBytes } from "./peers.ts";
import { testPicture } from "./test-picture.ts";

const USAGE = `Measures a model: load time, encode, prefill and decode rates, peak memory.

  npm run bench -- --model M.gguf [--projector P.gguf] [--rounds 3] [--tokens 32] [--encoder-precision auto]
  npm run bench -- --model pico

LLAMA_BENCH and LLAMA_MTMD_CLI may name llama.cpp's llama-bench and llama-mtmd-cli: they are then run in turn with
mull, round by round, and the ratios of the medians are printed.`;

const PROMPT_TOKENS = 128;
const SETTLE_MS = 3000;

/** One figure per round; undefined figures are left out. */
type Rounds = Record<"loadMs" | "encodeMs" | "prefill" | "decode" | "peakBytes", (number | undefined)[]>;
const noRounds = (): Rounds => ({ loadMs: [], encodeMs: [], prefill: [], decode: [], peakBytes: [] });

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string" },
      projector: { type: "string" },
      rounds: { type: "string", default: "3" },
      tokens: { type: "string", default: "32" },
      "encoder-precision": { type: "string", default: "auto" },
    },
  });
  if (values.model === undefined) throw new MullError("invalid_argument", USAGE);
  const rounds = Number(values.rounds);
  const ours = noRounds();
  const theirs = noRounds();

  const started = performance.now();
  const model = await load({
    model: values.model,
    ...(values.projector === undefined ? {} : { projector: values.projector }),
    encoderPrecision: values["encoder-precision"] as "auto",
    device: "cpu",
  });
  ours.loadMs.push(performance.now() - started);
  try {
    for (let round = 0; round < rounds; round++) {
      // A peer that just ended gives gigabytes back to the system, which slows the next seconds down.
      await sleep(SETTLE_MS);
      await measureOurs(model, round, Number(values.tokens), ours);
      await sleep(SETTLE_MS);
      await measurePeers(model.info, round, Number(values.tokens), theirs);
    }
    ours.peakBytes.push(peakBytes(model.enginePid));
    print(model.info, ours, theirs);
  } finally {
    await model.close();
  }
}

async function measureOurs(model: Model, round: number, tokens: number, figures: Rounds): Promise<void> {
  const text = await finish(model, { messages: textPrompt(round), maxTokens: tokens });
  const { inputTokens, outputTokens } = text.usage;
  figures.prefill.push((1000 * (inputTokens.total - inputTokens.cached)) / text.timings.prefillMs);
  // The first token comes from the prompt's logits: n tokens take n - 1 steps.
  figures.decode.push((1000 * (outputTokens - 1)) / text.timings.generateMs);
  if (!model.info.input.includes("image")) return;
  const content = [
    { type: "image" as const, image: testPicture(640, 480, round + 1) },
    { type: "text" as const, text: "What is this?" },
  ];
  const seen = await finish(model, { messages: [{ role: "user", content }], maxTokens: 1 });
  figures.encodeMs.push(seen.timings.encodeMs);
}

async function measurePeers(info: ModelInfo, round: number, tokens: number, figures: Rounds): Promise<void> {
  const { LLAMA_BENCH: bench, LLAMA_MTMD_CLI: mtmd } = process.env;
  const { files, threads, contextLength } = info;
  if (bench !== undefined) {
    const rates = await llamaBench(bench, {
      model: files.model,
      threads,
      prompt: PROMPT_TOKENS,
      generate: tokens,
    });
    figures.prefill.push(rates.prefill);
    figures.decode.push(rates.decode);
  }
  if (mtmd === undefined || files.projector === undefined) return;
  const picture = testPicture(640, 480, round + 1);
  const { model, projector } = files;
  const peer = await mtmdPicture(mtmd, { model, projector, threads, contextLength, picture });
  figures.encodeMs.push(peer.encodeMs);
  figures.loadMs.push(peer.loadMs);
  figures.peakBytes.push(peer.peakBytes);
}

/** Prompts that share no prefix, so that nothing is in the context from the round before. */
function textPrompt(round: number): StreamRequest["messages"] {
  const letters = Array.from({ length: PROMPT_TOKENS }, (_, index) => "abcdefgh"[(index * (round + 3)) % 8]);
  return [{ role: "user", content: `${round} ${letters.join(" ")}`.slice(0, PROMPT_TOKENS) }];
}

type FinishPart = Extract<StreamPart, { type: "finish" }>;

async function finish(model: Model, request: StreamRequest): Promise<FinishPart> {
  for await (const part of model.stream(request)) if (part.type === "finish") return part;
  throw new MullError("internal", "The stream ended without a finish part.");
}

function print(info: ModelInfo, ours: Rounds, theirs: Rounds): void {
  console.log(`${info.name}, ${info.threads} thread(s), medians\n`);
  const row = (title: string, figure: keyof Rounds, unit: string, scale = 1): void => {
    const [own, peer] = [median(ours[figure]) * scale, median(theirs[figure]) * scale];
    if (Number.isNaN(own)) return;
    const comparison = Number.isNaN(peer)
      ? ""
      : `   llama.cpp ${peer.toFixed(1)}   ratio ${(own / peer).toFixed(3)}`;
    console.log(`${`${title} (${unit})`.padEnd(28)}${own.toFixed(1).padStart(10)}${comparison}`);
  };
  row("load", "loadMs", "ms");
  row(`encode, ${info.encoder?.precision ?? ""}`, "encodeMs", "ms");
  row("prefill", "prefill", "tokens/s");
  row("decode", "decode", "tokens/s");
  row("peak memory", "peakBytes", "MB", 1e-6);
  console.log(`${"files (MB)".padEnd(28)}${(info.fileBytes / 1e6).toFixed(1).padStart(10)}`);
}

function median(values: readonly (number | undefined)[]): number {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

try {
  await main();
} catch (error) {
  const failure = MullError.wrap(error);
  console.error(failure.message);
  if (failure.hint !== undefined) console.error(failure.hint);
  process.exitCode = failure.exitCode;
}
