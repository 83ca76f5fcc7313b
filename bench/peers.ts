import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Tokens per second of `llama-bench` on a file. */
export interface TextRates {
  prefill: number;
  decode: number;
}

/**
 * Runs llama.cpp's own benchmark once.
 * @param binary path of `llama-bench`, from the environment variable LLAMA_BENCH
 */
export function llamaBench(
  binary: string,
  options: { model: string; threads: number; prompt: number; generate: number },
): TextRates {
  const { stdout, stderr, status } = spawnSync(
    binary,
    [
      ["-m", options.model],
      ["-p", String(options.prompt)],
      ["-n", String(options.generate)],
      ["-t", String(options.threads)],
      ["-r", "1", "-ngl", "0", "-o", "json"],
    ].flat(),
    { encoding: "utf8", maxBuffer: 2 ** 26 },
  );
  if (status !== 0) throw new Error(`${binary} ended with code ${status}: ${stderr.slice(-500)}`);
  const tests = JSON.parse(stdout) as { n_prompt: number; n_gen: number; avg_ts: number }[];
  const rate = (kind: "n_prompt" | "n_gen"): number =>
    tests.find((test) => test[kind] > 0)?.avg_ts ?? Number.NaN;
  return { prefill: rate("n_prompt"), decode: rate("n_gen") };
}

/**
 * Milliseconds that `llama-mtmd-cli` takes to encode one picture, as it reports itself.
 * @param binary path of `llama-mtmd-cli`, from the environment variable LLAMA_MTMD_CLI
 */
export function mtmdEncodeMs(
  binary: string,
  options: { model: string; projector: string; threads: number; picture: Uint8Array },
): number {
  const folder = mkdtempSync(join(tmpdir(), "mull-bench-"));
  try {
    const picture = join(folder, "picture.png");
    writeFileSync(picture, options.picture);
    const { stdout, stderr } = spawnSync(
      binary,
      [
        ["-m", options.model, "--mmproj", options.projector, "--image", picture],
        ["-t", String(options.threads), "-p", "What is this?", "-n", "1", "--temp", "0", "-ngl", "0"],
        ["--chat-template", "vicuna", "-lv", "4"],
      ].flat(),
      { encoding: "utf8", maxBuffer: 2 ** 26 },
    );
    const output = stdout + stderr;
    const milliseconds = /(?:slice|image) encoded in (\d+) ms|encoding done in (\d+) ms/.exec(output);
    if (milliseconds === null) throw new Error(`${binary} reported no encode time: ${output.slice(-800)}`);
    return Number(milliseconds[1] ?? milliseconds[2]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
