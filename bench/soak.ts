import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MullError } from "mull";
import { type ChatServer, chat, startMull } from "./chat-server.ts";
import { residentBytes } from "./peers.ts";
import { seededRandom } from "../src/engine/random.ts";
import { root } from "./root.ts";
import { testPicture } from "./test-picture.ts";

/**
 * `npm run soak`: many clients, many disconnects, many connections, against `mull serve` with pico. Takes some minutes,
 * prints what it found, and fails if an answer was another's, a request hung, or something leaked.
 */
const CLIENTS = 200;
const REQUESTS = 1000;
const CONNECTIONS = 10_000;
/** RSS at the end of the disconnects over RSS after the first fifth of them. */
const MOST_GROWTH = 1.05;

const folder = join(root, "models", "pico");
const files = {
  model: join(folder, "pico.gguf"),
  projector: join(folder, "pico-mmproj.gguf"),
  threads: 1,
  contextLength: 1024,
  parallel: 8,
};

interface Question {
  text: string;
  picture: Uint8Array;
}

const questions: Question[] = Array.from({ length: 25 }, (_, index) => ({
  text: ["What colour is it?", "What is this?", "How many are there?", "Is there a cat?", "Where is it?"][
    index % 5
  ] as string,
  picture: testPicture(96, 64, 1 + Math.floor(index / 5)),
}));

async function main(): Promise<void> {
  const cache = mkdtempSync(join(tmpdir(), "mull-soak-"));
  const server = await startMull(files, { MULL_CACHE_DIR: cache });
  try {
    const alone: string[] = [];
    for (const question of questions) alone.push((await ask(server, question)).text);
    await manyClients(server, alone);
    await manyDisconnects(server, alone);
    await manyConnections(server);
  } finally {
    await server.close();
    rmSync(cache, { recursive: true, force: true });
  }
}

function ask(server: ChatServer, question: Question): ReturnType<typeof chat> {
  return chat(server, { ...question, tokens: 32 });
}

async function manyClients(server: ChatServer, alone: readonly string[]): Promise<void> {
  const started = performance.now();
  const texts = await Promise.all(
    Array.from({ length: CLIENTS }, (_, index) =>
      ask(server, questions[index % questions.length] as Question),
    ),
  );
  const wrong = texts.filter(({ text }, index) => text !== alone[index % questions.length]).length;
  console.log(
    `${CLIENTS} clients at once: all answered in ${seconds(started)} s, ${wrong} with another's text`,
  );
  if (wrong > 0) throw new MullError("internal", `${wrong} answers were not those of a single client.`);
}

async function manyDisconnects(server: ChatServer, alone: readonly string[]): Promise<void> {
  const random = seededRandom(1);
  const started = performance.now();
  const counts = { whole: 0, left: 0, wrong: 0 };
  const memory: number[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < REQUESTS) {
      const index = next++;
      if (index % (REQUESTS / 5) === 0) memory.push(await memoryOf(server));
      const place = Math.floor(random() * questions.length);
      const left = await leaveOrWait(server, questions[place] as Question, random);
      if (left === undefined) counts.left += 1;
      else counts.whole += 1;
      if (left !== undefined && left !== alone[place]) counts.wrong += 1;
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
  const idle = await untilIdle(server);
  memory.push(await memoryOf(server));
  const growth = (memory.at(-1) as number) / (memory[1] as number);
  console.log(
    `${REQUESTS} requests, ${counts.left} left early: ${seconds(started)} s, ${counts.wrong} wrong answers; ` +
      `afterwards running ${idle.running}, waiting ${idle.waiting}; ` +
      `memory ${memory.map((bytes) => (bytes / 1e6).toFixed(0)).join(", ")} MB, growth ${growth.toFixed(3)}`,
  );
  if (counts.wrong > 0 || idle.running + idle.waiting > 0) {
    throw new MullError("internal", "Something of the requests that were left stayed behind.");
  }
  if (growth > MOST_GROWTH)
    throw new MullError("internal", `Memory grew by a factor of ${growth.toFixed(3)}.`);
}

/** @returns the whole answer, or undefined if the client left */
async function leaveOrWait(
  server: ChatServer,
  question: Question,
  random: () => number,
): Promise<string | undefined> {
  const stop = new AbortController();
  const leaves = random() < 0.5;
  const timer = leaves ? setTimeout(() => stop.abort(), random() * 400) : undefined;
  try {
    return (await chat(server, { ...question, tokens: 32, signal: stop.signal })).text;
  } catch (error) {
    if (stop.signal.aborted) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Far more connections than are taken: each is answered or closed, and a client that was there is still served. */
async function manyConnections(server: ChatServer): Promise<void> {
  const { port } = new URL(server.url);
  const started = performance.now();
  const outcomes: Record<string, number> = {};
  const count = (outcome: string): void => void (outcomes[outcome] = (outcomes[outcome] ?? 0) + 1);
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(Number(port), "127.0.0.1");
      let heard = "";
      const end = (outcome: string): void => {
        clearTimeout(timer);
        socket.destroy();
        count(outcome);
        resolve();
      };
      const timer = setTimeout(() => end("hung"), 60_000);
      socket.on("connect", () => socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"));
      socket.on("data", (chunk: Buffer) => {
        heard += chunk.toString("latin1");
        const status = /^HTTP\/1\.1 (\d+)/.exec(heard)?.[1];
        if (status !== undefined) setTimeout(() => end(status), 500);
      });
      socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? "error"));
      socket.on("close", () => end("closed"));
    });
  const all = Promise.all(Array.from({ length: CONNECTIONS }, one));
  await sleep(200);
  const meanwhile = await ask(server, questions[0] as Question).then(
    () => "answered",
    (error: Error) => error.message.slice(0, 80),
  );
  await all;
  const after = await ask(server, questions[0] as Question);
  console.log(
    `${CONNECTIONS} connections: ${seconds(started)} s, ${JSON.stringify(outcomes)}; ` +
      `a question meanwhile: ${meanwhile}; afterwards: ${after.text.trim()}`,
  );
  if ((outcomes["hung"] ?? 0) > 0) throw new MullError("internal", "Connections hung.");
}

async function untilIdle(server: ChatServer): Promise<{ running: number; waiting: number }> {
  let state = { running: 1, waiting: 0 };
  for (let tries = 0; tries < 100 && state.running + state.waiting > 0; tries++) {
    await sleep(100);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const gauge = (name: string): number =>
      Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)`, "m").exec(text)?.[1] ?? 0);
    state = { running: gauge("mull_requests_running"), waiting: gauge("mull_requests_waiting") };
  }
  return state;
}

/** Resident memory of the server and its children, in bytes. */
async function memoryOf(server: ChatServer): Promise<number> {
  const children = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, "utf8").trim().split(" ");
  return [server.pid, ...children.map(Number)].reduce((sum, pid) => sum + (residentBytes(pid) ?? 0), 0);
}

function seconds(started: number): string {
  return ((performance.now() - started) / 1000).toFixed(1);
}

try {
  await main();
} catch (error) {
  const failure = MullError.wrap(error);
  console.error(failure.message);
  process.exitCode = failure.exitCode;
}
