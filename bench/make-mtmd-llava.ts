import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MTMD_CASES, MTMD_QUESTION, MTMD_TEXT, mtmdPicture } from "./mtmd-llava-cases.ts";
import { TINY_TEXT_MODEL, writeRandomTextModel } from "./random-model.ts";
import { writeRandomProjector } from "./random-projector.ts";

/*
 * Writes src/encoders/fixtures/mtmd-llava.json: what llama.cpp's mtmd makes of generated models and pictures.
 * MULL_MTMD_DUMP is a program over libmtmd and libllama that is called as
 *   dump model.gguf mmproj.gguf prompt tokens rows.bin picture.rgb width height
 * It tokenises with mtmd_tokenize, writes the float32 rows of mtmd_encode_chunk one chunk after the other, answers
 * greedily (mtmd_helper_eval_chunks, then argmax; keys and values f32, no flash attention, one thread), and prints
 * {"chunks": [{"tokens": [...]} | {"rows": n}], "answer": [ids], "text": hex of the pieces}.
 */
const dump = process.env["MULL_MTMD_DUMP"];
if (dump === undefined) throw new Error("Set MULL_MTMD_DUMP.");
const folder = mkdtempSync(join(tmpdir(), "mull-mtmd-"));
const at = (name: string): string => join(folder, name);
await writeRandomTextModel(at("text.gguf"), MTMD_TEXT);
const width = TINY_TEXT_MODEL.embedding;
const round = (value: number): number => Number(value.toPrecision(6));
const cases: Record<string, unknown> = {};
for (const { name, shape, picture } of MTMD_CASES) {
  await writeRandomProjector(at("mmproj.gguf"), shape);
  writeFileSync(at("picture.rgb"), mtmdPicture(picture));
  const size = [String(picture.width), String(picture.height)];
  const files = [at("text.gguf"), at("mmproj.gguf"), `<__media__>${MTMD_QUESTION}`, "16", at("rows.bin")];
  const output = execFileSync(dump, [...files, at("picture.rgb"), ...size], { encoding: "utf8" });
  const { chunks, text } = JSON.parse(output) as { chunks: { rows?: number }[]; text: string };
  const bytes = readFileSync(at("rows.bin"));
  const rows = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const count = rows.length / width;
  // Of every row three of its values, which differ from row to row.
  const samples = Array.from({ length: count }, (_, row) =>
    [0, 1, 2].map((index) => round(rows[row * width + ((row * 7 + index * 23) % width)] ?? 0)),
  );
  cases[name] = {
    rows: count,
    chunks: chunks.flatMap(({ rows: some }) => (some === undefined ? [] : [some])),
    samples: samples.flat(),
    text: Buffer.from(text, "hex").toString("utf8"),
  };
}
rmSync(folder, { recursive: true });
const made =
  "llama.cpp v0.4.0 (the build of @node-llama-cpp 3.21.1), CPU; MULL_MTMD_DUMP=dump node build/bench/make-mtmd-llava.js, after tsc -p tsconfig.bench.json";
writeFileSync("src/encoders/fixtures/mtmd-llava.json", `${JSON.stringify({ made, cases })}\n`);
