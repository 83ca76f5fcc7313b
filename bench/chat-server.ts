import { type ChildProcess, spawn } from "node:child_process";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "./root.ts";

const START_MS = 300_000;
/** Clients keep their connections. */
const agent = new Agent({ keepAlive: true });

/** A process that speaks OpenAI's chat API on loopback. */
export interface ChatServer {
  url: string;
  pid: number;
  close(): Promise<void>;
}

export interface ServedFiles {
  model: string;
  projector: string;
  threads: number;
  /** Tokens of one request's context. */
  contextLength: number;
  parallel: number;
}

/** `mull serve` with a pair of files, under the name "bench". */
export async function startMull(files: ServedFiles, env: Record<string, string>): Promise<ChatServer> {
  const port = await freePort();
  const flags = {
    "--port": port,
    "--model": `bench=${files.model},${files.projector}`,
    "--parallel": files.parallel,
    "--log-level": "error",
    "--keep-alive": -1,
  };
  return start(process.execPath, [join(root, "dist", "cli", "main.js"), "serve", ...flat(flags)], port, env);
}

/** @param binary path of `llama-server`, from the environment variable LLAMA_SERVER */
export async function startLlamaServer(binary: string, files: ServedFiles): Promise<ChatServer> {
  const port = await freePort();
  const flags = {
    "-m": files.model,
    "--mmproj": files.projector,
    "-np": files.parallel,
    "-c": files.contextLength * files.parallel,
    "-t": files.threads,
    "-ngl": 0,
    "--port": port,
    "--host": "127.0.0.1",
    // Without a system message, where ours has LLaVA's; read once for all askers, it does not count for much.
    "--no-jinja": "",
    "--chat-template": "vicuna",
    "--no-warmup": "",
  };
  return start(
    binary,
    flat(flags).filter((flag) => flag !== ""),
    port,
    {},
  );
}

export interface ChatReply {
  text: string;
  promptTokens: number;
  answerTokens: number;
  milliseconds: number;
}

/** Asks a question about a picture (or none), greedily, and waits for the whole answer. */
export async function chat(
  server: ChatServer,
  question: { text: string; picture?: Uint8Array; tokens: number; signal?: AbortSignal },
): Promise<ChatReply> {
  const started = performance.now();
  const image =
    question.picture === undefined
      ? []
      : [
          {
            type: "image_url",
            image_url: { url: `data:image/png;base64,${Buffer.from(question.picture).toString("base64")}` },
          },
        ];
  const { status, text } = await post(`${server.url}/v1/chat/completions`, question.signal, {
    model: "bench",
    messages: [{ role: "user", content: [...image, { type: "text", text: question.text }] }],
    temperature: 0,
    max_tokens: question.tokens,
  });
  if (status !== 200) throw new Error(`${server.url}: ${status} ${text}`);
  const body = JSON.parse(text) as {
    choices?: { message: { content: string } }[];
    usage: { prompt_tokens: number; completion_tokens: number };
  };
  return {
    text: body.choices?.[0]?.message.content ?? "",
    promptTokens: body.usage.prompt_tokens,
    answerTokens: body.usage.completion_tokens,
    milliseconds: performance.now() - started,
  };
}

/** An answer may take many minutes, and `fetch` gives up after five. */
function post(
  url: string,
  signal: AbortSignal | undefined,
  body: object,
): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const options = { method: "POST", headers, agent, ...(signal === undefined ? {} : { signal }) };
    const call = request(url, options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode, text }));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end(JSON.stringify(body));
  });
}

async function start(
  binary: string,
  args: readonly string[],
  port: number,
  env: Record<string, string>,
): Promise<ChatServer> {
  const child = spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log = (log + text).slice(-4000)));
  const url = `http://127.0.0.1:${port}`;
  const until = performance.now() + START_MS;
  while (performance.now() < until) {
    if (child.exitCode !== null) throw new Error(`${binary} ended with code ${child.exitCode}: ${log}`);
    const healthy = await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (healthy) return { url, pid: child.pid as number, close: () => end(child) };
    await sleep(50);
  }
  child.kill("SIGKILL");
  throw new Error(`${binary} did not answer within ${START_MS / 1000} s: ${log}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
  await exited;
  clearTimeout(timer);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(),
      );
    });
  });
}

function flat(flags: Record<string, string | number>): string[] {
  return Object.entries(flags).flat().map(String);
}
