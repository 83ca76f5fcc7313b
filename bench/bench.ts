import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Model, MullError, type StreamPart, type StreamRequest, load } from "mull";
import { llamaBench, mtmdEncodeMs } from "./peers.ts";
import { testPicture } from "./test-picture.ts";

const USAGE = `Measures a model: load time, encode, prefill and decode rates, peak memory.

  npm run bench -- --model M.gguf [--projector P.gguf] [--rounds 3] [--tokens 32]
  npm run bench -- --model pico

LLAMA_BENCH and LLAMA_MTMD_CLI may name llama.cpp's llama-bench and llama-mtmd-cli: they are then run in turn with
mull, round by round, and the ratios of the medians are printed.`;

const PROMPT_TOKENS = 512;

type FinishPart = Extract<StreamPart, { type: "finish" }>;
/** One figure per round. */
type Rounds = { encodeMs: number[]; prefill: number[]; decode: number[] };

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
  const [rounds, tokens] = [Number(values.rounds), Number(values.tokens)];

  const started = performance.now();
  const model = await load({
    model: values.model,
    ...(values.projector === undefined ? {} : { projector: values.projector }),
    encoderPrecision: values["encoder-precision"] as "auto",
    device: "cpu",
  });
  const loadMs = performance.now() - started;
  const { info } = model;
  const { files, threads } = info;
  const sees = info.input.includes("image");
  const ours: Rounds = { encodeMs: [], prefill: [], decode: [] };
  const theirs: Rounds = { encodeMs: [], prefill: [], decode: [] };
  try {
    for (let round = 0; round < rounds; round++) {
      const picture = testPicture(640, 480, round + 1);
      const text = await finish(model, { messages: textPrompt(round), maxTokens: tokens });
      ours.prefill.push(
        (text.usage.inputTokens.total - text.usage.inputTokens.cached) / seconds(text.timings.prefillMs),
      );
      ours.decode.push((text.usage.outputTokens - 1) / seconds(text.timings.generateMs));
      if (sees) {
        const content = [
          { type: "image" as const, image: picture },
          { type: "text" as const, text: "What is this?" },
        ];
        const seen = await finish(model, { messages: [{ role: "user", content }], maxTokens: 1 });
        ours.encodeMs.push(seen.timings.encodeMs);
      }
      const { LLAMA_BENCH: bench, LLAMA_MTMD_CLI: mtmd } = process.env;
      if (bench !== undefined) {
        const rates = llamaBench(bench, {
          model: files.model,
          threads,
          prompt: PROMPT_TOKENS,
          generate: tokens,
        });
        theirs.prefill.push(rates.prefill);
        theirs.decode.push(rates.decode);
      }
      const { projector } = files;
      if (mtmd !== undefined && projector !== undefined) {
        theirs.encodeMs.push(mtmdEncodeMs(mtmd, { model: files.model, projector, threads, picture }));
      }
    }
    const rss = peakBytes(model.enginePid);
    print(
      info.name,
      { loadMs, rss, fileBytes: info.fileBytes, threads, precision: info.encoder?.precision },
      ours,
      theirs,
    );
  } finally {
    await model.close();
  }
}

/** Prompts that share no prefix, so that nothing is cached from the round before. */
function textPrompt(round: number): StreamRequest["messages"] {
  const words = Array.from({ length: PROMPT_TOKENS }, (_, index) => "abcdefgh"[(index * (round + 3)) % 8]);
  return [{ role: "user", content: `${round} ${words.join(" ")}`.slice(0, PROMPT_TOKENS) }];
}

async function finish(model: Model, request: StreamRequest): Promise<FinishPart> {
  for await (const part of model.stream(request)) if (part.type === "finish") return part;
  throw new MullError("internal", "The stream ended without a finish part.");
}

const seconds = (milliseconds: number): number => milliseconds / 1000;

/** Peak resident memory of a process in bytes (Linux only). */
function peakBytes(pid: number | undefined): number | undefined {
  try {
    const kilobytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

interface Facts {
  loadMs: number;
  rss: number | undefined;
  fileBytes: number;
  threads: number;
  precision: string | undefined;
}

function print(name: string, facts: Facts, ours: Rounds, theirs: Rounds): void {
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(`${name}, ${facts.threads} threads, medians of ${ours.decode.length} rounds\n`);
  console.log(`load             ${facts.loadMs.toFixed(0)} ms`);
  console.log(`files            ${megabytes(facts.fileBytes)}`);
  if (facts.rss !== undefined) {
    console.log(
      `peak memory      ${megabytes(facts.rss)}  (files + ${megabytes(facts.rss - facts.fileBytes)})`,
    );
  }
  const row = (title: string, own: number[], peer: number[], unit: string): void => {
    if (own.length === 0) return;
    const ratio =
      peer.length === 0
        ? ""
        : `   peer ${median(peer).toFixed(1)} ${unit}   ratio ${(median(own) / median(peer)).toFixed(3)}`;
    console.log(`${title.padEnd(17)}${median(own).toFixed(1)} ${unit}${ratio}`);
  };
  row(`encode ${facts.precision ?? ""}`, ours.encodeMs, theirs.encodeMs, "ms");
  row("prefill", ours.prefill, theirs.prefill, "tokens/s");
  row("decode", ours.decode, theirs.decode, "tokens/s");
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
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
