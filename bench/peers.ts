import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What `llama-bench` measures on a file. */
export interface TextFigures {
  /** Tokens per second. */
  prefill: number;
  decode: number;
}

/** What `llama-mtmd-cli` reports of one picture and one answer. */
export interface PictureFigures {
  encodeMs: number;
  /** Undefined if this build does not print it. */
  loadMs: number | undefined;
  /** Undefined where the system does not tell. */
  peakBytes: number | undefined;
}

/**
 * Runs llama.cpp's own benchmark once.
 * @param binary path of `llama-bench`, from the environment variable LLAMA_BENCH
 */
export async function llamaBench(
  binary: string,
  options: { model: string; threads: number; prompt: number; generate: number },
): Promise<TextFigures> {
  const { stdout } = await measure(binary, {
    "-m": options.model,
    "-t": options.threads,
    "-p": options.prompt,
    "-n": options.generate,
    "-r": 1,
    "-ngl": 0,
    "-o": "json",
  });
  const tests = JSON.parse(stdout) as { n_prompt: number; n_gen: number; avg_ts: number }[];
  const rate = (kind: "n_prompt" | "n_gen"): number =>
    tests.find((test) => test[kind] > 0)?.avg_ts ?? Number.NaN;
  return { prefill: rate("n_prompt"), decode: rate("n_gen") };
}

/**
 * Asks llama.cpp's multi-modal command about one picture.
 * @param binary path of `llama-mtmd-cli`, from the environment variable LLAMA_MTMD_CLI
 */
export async function mtmdPicture(
  binary: string,
  options: { model: string; projector: string; threads: number; contextLength: number; picture: Uint8Array },
): Promise<PictureFigures> {
  const folder = mkdtempSync(join(tmpdir(), "mull-bench-"));
  try {
    const picture = join(folder, "picture.png");
    writeFileSync(picture, options.picture);
    const { stdout, stderr, peakBytes } = await measure(binary, {
      "-m": options.model,
      "--mmproj": options.projector,
      "--image": picture,
      "-t": options.threads,
      "-c": options.contextLength,
      "-ngl": 0,
      "-p": "What is this?",
      "-n": 1,
      "--temp": 0,
      "--chat-template": "vicuna",
      // Level 4 prints how long a picture took.
      "-lv": 4,
    });
    const output = stdout + stderr;
    const encode = /(?:slice|image) encoded in (\d+) ms|encoding done in (\d+) ms/.exec(output);
    if (encode === null) throw new Error(`${binary} reported no encode time: ${output.slice(-800)}`);
    const load = /load time =\s*([\d.]+) ms/.exec(output)?.[1];
    return {
      encodeMs: Number(encode[1] ?? encode[2]),
      loadMs: load === undefined ? undefined : Number(load),
      peakBytes,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Measured {
  stdout: string;
  stderr: string;
  peakBytes: number | undefined;
}

/** Runs a command to its end and watches its memory. */
function measure(binary: string, flags: Record<string, string | number>): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, Object.entries(flags).flat().map(String), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const measured: Measured = { stdout: "", stderr: "", peakBytes: undefined };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (measured.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (measured.stderr += text));
    const watch = setInterval(() => (measured.peakBytes = peakBytes(child.pid) ?? measured.peakBytes), 50);
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(watch);
      if (code === 0) resolve(measured);
      else reject(new Error(`${binary} ended with code ${code}: ${measured.stderr.slice(-500)}`));
    });
  });
}

/** Peak resident memory of a process in bytes (Linux only). */
export function peakBytes(pid: number | undefined): number | undefined {
  return memoryFigure(pid, "VmHWM");
}

/** Resident memory of a process now, in bytes (Linux only). */
export function residentBytes(pid: number | undefined): number | undefined {
  return memoryFigure(pid, "VmRSS");
}

function memoryFigure(pid: number | undefined, name: string): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kilobytes = new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
