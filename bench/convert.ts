import { spawnSync } from "node:child_process";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { convertModel as ConvertModel } from "../src/store/convert/convert-model.ts";
import type { OutputType } from "../src/store/convert/planned-tensor.ts";
import { RandomSource } from "./random.ts";
import { root } from "./root.ts";

const USAGE = `Measures the conversion of a 7B-shaped text model of random bf16 weights, against copying the same files.

  npm run bench:convert -- [--gb 2] [--types keep,f16,q8_0] [--rounds 3] [--dir FOLDER]

--gb 13.5 is a whole 7B. Medians of the rounds are printed. The folder needs room for three times as much.`;

/** Llama 2 7B. */
const EMBEDDING = 4096;
const FEED_FORWARD = 11_008;
const TOKENS = 32_000;
const LAYER: Readonly<Record<string, readonly number[]>> = {
  "input_layernorm.weight": [EMBEDDING],
  "self_attn.q_proj.weight": [EMBEDDING, EMBEDDING],
  "self_attn.k_proj.weight": [EMBEDDING, EMBEDDING],
  "self_attn.v_proj.weight": [EMBEDDING, EMBEDDING],
  "self_attn.o_proj.weight": [EMBEDDING, EMBEDDING],
  "post_attention_layernorm.weight": [EMBEDDING],
  "mlp.gate_proj.weight": [FEED_FORWARD, EMBEDDING],
  "mlp.up_proj.weight": [FEED_FORWARD, EMBEDDING],
  "mlp.down_proj.weight": [EMBEDDING, FEED_FORWARD],
};
const SHARD_BYTES = 5e9;

type Shapes = [name: string, shape: readonly number[]][];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      gb: { type: "string", default: "2" },
      types: { type: "string", default: "keep,f16,q8_0" },
      rounds: { type: "string", default: "3" },
      dir: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const folder = mkdtempSync(join(values.dir, "mull-bench-convert-"));
  try {
    const source = join(folder, "model");
    const bytes = writeModel(source, Number(values.gb) * 1e9);
    console.log(`${gigabytes(bytes)} of bf16 weights in ${source}`);
    for (const type of values.types.split(",") as OutputType[]) {
      await measure(folder, source, bytes, type, Number(values.rounds));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Copies and conversions in turn: the disk is not the same from one minute to the next. */
async function measure(
  folder: string,
  source: string,
  bytes: number,
  type: OutputType,
  rounds: number,
): Promise<void> {
  const copies: number[] = [];
  const conversions: number[] = [];
  const watch = watchChildren();
  for (let round = 0; round < rounds; round++) {
    copies.push(copy(source, join(folder, "copy")));
    const output = join(folder, "output");
    const started = performance.now();
    await convertModel(source, output, type);
    conversions.push((performance.now() - started) / 1000);
    rmSync(output, { recursive: true });
  }
  const peak = watch.stop();
  const [copied, converted] = [median(copies), median(conversions)];
  console.log(
    `${type.padEnd(5)} ${converted.toFixed(1)} s, ${gigabytes(bytes / converted)}/s; ` +
      `cp and sync ${copied.toFixed(1)} s, ${gigabytes(bytes / copied)}/s: ` +
      `${(copied / converted).toFixed(2)} x of the copy rate; peak RSS ${(peak / 1e6).toFixed(0)} MB`,
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

async function convertModel(source: string, output: string, type: OutputType): Promise<void> {
  const url = new URL(`file://${join(root, "dist", "store", "convert", "convert-model.js")}`);
  const module = (await import(url.href)) as { convertModel: typeof ConvertModel };
  const { warnings } = await module.convertModel(source, output, { type });
  for (const warning of warnings) console.log(warning);
}

/** @returns seconds */
function copy(from: string, to: string): number {
  const started = performance.now();
  spawnSync("sh", ["-c", 'cp -r "$0" "$1" && sync "$1"/*', from, to], { stdio: "inherit" });
  const seconds = (performance.now() - started) / 1000;
  rmSync(to, { recursive: true });
  return seconds;
}

/** The most resident memory of any child of this process, as Linux counts it. */
function watchChildren(): { stop: () => number } {
  let peak = 0;
  const look = (): void => {
    try {
      const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
      for (const pid of children.trim().split(" ")) {
        const status = readFileSync(`/proc/${pid}/status`, "utf8");
        peak = Math.max(peak, Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024);
      }
    } catch {
      // It has just ended; or this is no Linux.
    }
  };
  const timer = setInterval(look, 50);
  return {
    stop: () => {
      clearInterval(timer);
      return peak;
    },
  };
}

/** @returns bytes of the weights */
function writeModel(folder: string, bytes: number): number {
  mkdirSync(folder);
  const layerBytes = bytesOf(Object.entries(LAYER));
  const ends: Shapes = [
    ["model.embed_tokens.weight", [TOKENS, EMBEDDING]],
    ["model.norm.weight", [EMBEDDING]],
    ["lm_head.weight", [TOKENS, EMBEDDING]],
  ];
  const layers = Math.max(1, Math.round((bytes - bytesOf(ends)) / layerBytes));
  const tensors: Shapes = Array.from({ length: layers }, (_, index) =>
    Object.entries(LAYER).map(([name, shape]): Shapes[0] => [`model.layers.${index}.${name}`, shape]),
  ).flat();
  writeShards(folder, [...ends, ...tensors]);
  writeJson(folder, "config.json", {
    architectures: ["LlamaForCausalLM"],
    hidden_size: EMBEDDING,
    intermediate_size: FEED_FORWARD,
    num_hidden_layers: layers,
    num_attention_heads: 32,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    eos_token_id: 2,
  });
  writeJson(folder, "tokenizer.json", byteTokenizer());
  return bytesOf([...ends, ...tensors]);
}

function writeShards(folder: string, tensors: Shapes): void {
  const shards: Shapes[] = [];
  for (const tensor of tensors) {
    const last = shards.at(-1);
    if (last !== undefined && bytesOf([...last, tensor]) <= SHARD_BYTES) last.push(tensor);
    else shards.push([tensor]);
  }
  const map: Record<string, string> = {};
  for (const [index, shard] of shards.entries()) {
    const number = (value: number): string => String(value).padStart(5, "0");
    const name = `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
    for (const [tensor] of shard) map[tensor] = name;
    writeShard(join(folder, name), shard);
  }
  writeJson(folder, "model.safetensors.index.json", { metadata: {}, weight_map: map });
}

function writeShard(path: string, tensors: Shapes): void {
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const tensor of tensors) {
    const start = offset;
    offset += bytesOf([tensor]);
    header[tensor[0]] = { dtype: "BF16", shape: tensor[1], data_offsets: [start, offset] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const words = new Uint32Array(2 ** 22);
  new RandomSource(1).writeInto(words);
  // Two bf16 a word, of magnitudes from 2^-7 to 2.
  for (let index = 0; index < words.length; index++)
    words[index] = ((words[index] as number) & 0x83ff_83ff) | 0x3c00_3c00;
  const chunk = new Uint8Array(words.buffer);
  const file = openSync(path, "w");
  writeSync(file, Buffer.concat([length, text]));
  for (let done = 0; done < offset; done += chunk.length)
    writeSync(file, chunk, 0, Math.min(chunk.length, offset - done));
  fsyncSync(file);
  closeSync(file);
}

/** A vocabulary of the 256 bytes; the model's other tokens are unused. */
function byteTokenizer(): unknown {
  let next = 256;
  const characters = Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCodePoint(printable ? byte : next++);
  });
  return {
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    model: { type: "BPE", vocab: Object.fromEntries(characters.map((text, id) => [text, id])), merges: [] },
  };
}

function bytesOf(tensors: readonly (readonly [string, readonly number[]])[]): number {
  return tensors.reduce((sum, [, shape]) => sum + shape.reduce((product, length) => product * length, 2), 0);
}

function writeJson(folder: string, name: string, content: unknown): void {
  writeFileSync(join(folder, name), JSON.stringify(content));
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

await main();
