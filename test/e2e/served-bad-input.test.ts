import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainPicture, testPicture } from "../../bench/test-picture.ts";
import { bomb, headerOnly } from "../support/hostile-pictures.ts";
import { loopbackServer, type LoopbackServer } from "../support/loopback-server.ts";
import { killServersAtEnd, type ServedCommand, startServe } from "../support/served-command.ts";
import { temporaryFolder } from "../support/tiny-models.ts";
import { answer, DIALECTS, post, type WireDialect, type WirePicture } from "../support/wire-dialects.ts";

/** Every line of bad input that a client can cause, through each API of the real command. */
const folder = temporaryFolder();
killServersAtEnd();
let server: ServedCommand;
let fetching: ServedCommand;
/** Who would hear of it if the server fetched what it must not. */
let trap: LoopbackServer;
const goodAnswers = new Map<WireDialect, string>();

const png = testPicture(64, 48, 1);
const jpeg = readFileSync(new URL("../../examples/sideways.jpg", import.meta.url));
const base64 = (bytes: Uint8Array | string): WirePicture => ({
  base64: Buffer.from(bytes).toString("base64"),
});
const GOOD = { text: "What colour is it?", pictures: [base64(png)] };
const unpacksTo432MB = bomb(12_000, 12_000);
const HEIC = Buffer.concat([Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "latin1"), Buffer.alloc(64)]);

beforeAll(async () => {
  trap = await loopbackServer({});
  await writeFile(join(folder.path, "secret.png"), png);
  [server, fetching] = await Promise.all([startServe(), startServe(["--allow-urls"])]);
  for (const dialect of DIALECTS) {
    goodAnswers.set(dialect, await answer(server, dialect, GOOD));
    await answer(fetching, dialect, GOOD);
  }
});

afterAll(async () => {
  await Promise.all([server, fetching].map((each) => each?.[Symbol.asyncDispose]()));
  await trap[Symbol.asyncDispose]();
});

/** What came of a request, and of a good one after it. */
interface Outcome {
  status: number;
  text: string;
  /** In the dialect's shape. */
  isError: boolean;
  /** What it tells of this machine: folders, or where the code lies. */
  leak: string | undefined;
  stillAnswers: boolean;
}

async function outcomeOf(dialect: WireDialect, body: unknown, at: ServedCommand = server): Promise<Outcome> {
  const response = await post(at, dialect.path, body);
  const text = await response.text();
  return {
    status: response.status,
    text,
    isError: dialect.isError(JSON.parse(text)),
    leak: /\/(?:home|tmp|root|usr|var|Users|work)\b|node_modules|\.[jt]s:\d|mull-test-/.exec(text)?.[0],
    stillAnswers: (await answer(at, dialect, GOOD)) === goodAnswers.get(dialect),
  };
}

const refusal = (status: number, words: RegExp): Outcome => ({
  status,
  text: expect.stringMatching(words) as string,
  isError: true,
  leak: undefined,
  stillAnswers: true,
});

describe.each(DIALECTS)("$name", (dialect) => {
  const about = (...pictures: WirePicture[]): Record<string, unknown> =>
    dialect.ask({ text: "What is this?", pictures });

  it.each<[name: string, picture: () => WirePicture, status: number, words: RegExp]>([
    [
      "cut in half (JPEG)",
      () => base64(jpeg.subarray(0, jpeg.length >> 1)),
      400,
      /damaged|ends|truncated|incomplete/i,
    ],
    [
      "cut in half (PNG)",
      () => base64(png.subarray(0, png.length >> 1)),
      400,
      /damaged|ends|truncated|incomplete/i,
    ],
    ["of no bytes", () => base64(""), 400, /empty/i],
    ["that is text", () => base64("This is not a picture.\n"), 415, /text/i],
    ["that is HTML", () => base64("<!DOCTYPE html><html><body>404</body></html>"), 415, /web page/],
    ["that is a PDF", () => base64("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"), 415, /PDF/],
    ["that is HEIC", () => base64(HEIC), 415, /HEIC/],
    ["of a huge size by its header", () => base64(headerOnly(30_000, 30_000)), 413, /30000|pixels/],
    ["that unpacks to 432 MB", () => base64(unpacksTo432MB), 413, /12000|pixels/],
    [
      "whose base64 is damaged",
      () => ({ base64: `${Buffer.from(png).toString("base64").slice(0, 400)}*!` }),
      400,
      /base64/,
    ],
    ["that is no base64", () => ({ base64: "What a lovely picture!" }), 400, /base64/],
  ])("a picture %s is refused", async (_, picture, status, words) => {
    expect(await outcomeOf(dialect, about(picture()))).toEqual(refusal(status, words));
    // Where it stands is part of the message, and a good one beside it does not hide it.
    expect(await outcomeOf(dialect, about(base64(png), picture()))).toEqual(
      refusal(status, /image 2|messages\[0\]\.(?:images|content)\[1\]/),
    );
  });

  it.each([
    ["1 x 1", plainPicture(1, 1, [255, 0, 0])],
    ["1 x 4000", plainPicture(1, 4000, [255, 0, 0])],
    ["4000 x 1", plainPicture(4000, 1, [255, 0, 0])],
  ])("a picture of %s is answered", async (_, picture) => {
    expect(await answer(server, dialect, { ...GOOD, pictures: [base64(picture)] })).not.toBe("");
  });

  it("files are never opened", async () => {
    const path = join(folder.path, "secret.png");
    for (const name of [
      path,
      `file://${path}`,
      `FILE://localhost${path}`,
      "../secret.png",
      "~/secret.png",
      "/etc/passwd",
    ]) {
      for (const at of [server, fetching]) {
        expect(await outcomeOf(dialect, about({ name }), at)).toEqual(refusal(400, /names a file/));
      }
    }
  });

  it("URLs are refused where they are off, and never lead inside where they are on", async () => {
    const { port } = new URL(trap.url);
    const hosts = [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      `[::1]:${port}`,
      `2130706433:${port}`,
      `0x7f000001:${port}`,
      `0177.0.0.1:${port}`,
      `127.1:${port}`,
      "127.0.0.1",
      "localhost",
      "[::1]",
      "2130706433",
      "0x7f.1",
      "0",
      "127.1",
      "169.254.169.254",
      "0xa9fea9fe",
      "[::ffff:127.0.0.1]",
      "[::ffff:a9fe:a9fe]",
      "10.0.0.1",
      "192.168.1.1",
      "172.16.0.1",
      "[fd00::1]",
      "[fe80::1]",
      "100.64.0.1",
      "[64:ff9b::7f00:1]",
      `user:pass@127.0.0.1:${port}`,
    ];
    for (const host of hosts) {
      const https = { name: `https://${host}/picture.png` };
      const off = await post(server, dialect.path, about(https));
      expect([host, off.status, await off.text()]).toEqual([
        host,
        403,
        expect.stringMatching(/is a URL, and this server does not fetch/),
      ]);
      const on = await post(fetching, dialect.path, about(https));
      expect([host, on.status, await on.text()]).toEqual([
        host,
        400,
        expect.stringMatching(/could not be fetched/),
      ]);
      const plain = await post(fetching, dialect.path, about({ name: `http://${host}/picture.png` }));
      expect([host, plain.status, await plain.text()]).toEqual([
        host,
        403,
        expect.stringMatching(/https: only/),
      ]);
    }
    expect(await outcomeOf(dialect, about({ name: `https://127.0.0.1:${port}/` }))).toEqual(
      refusal(403, /URL/),
    );
    expect(await outcomeOf(dialect, about({ name: `ftp://127.0.0.1:${port}/a.png` }), fetching)).toEqual(
      refusal(400, /names a file|base64/),
    );
    expect(await outcomeOf(dialect, about({ name: "https://" }), fetching)).toEqual(
      refusal(400, /could not be fetched/),
    );
    expect(trap.requests).toEqual([]);
  });

  it("requests that are wrong are refused with what is wrong", async () => {
    const good = dialect.ask(GOOD);
    const withMessages = (...messages: unknown[]): unknown => ({ ...good, messages });
    const cases: [name: string, body: unknown, status: number, words: RegExp][] = [
      [
        "17 pictures",
        about(...Array.from({ length: 17 }, () => base64(png))),
        400,
        /17 pictures.*at most 16/,
      ],
      ["a long prompt", dialect.ask({ text: "word ".repeat(3000) }), 400, /tokens/],
      ["a role", withMessages({ role: "wizard", content: "?" }), 400, /messages\[0\]/],
      ["messages of a wrong type", { ...good, messages: "hello" }, 400, /messages/],
      ["a message of a wrong type", withMessages(7), 400, /messages\[0\]/],
      ["content of a wrong type", withMessages({ role: "user", content: 7 }), 400, /messages\[0\]\.content/],
      ["stream of a wrong type", { ...good, stream: "yes" }, 400, /stream/],
      ["model of a wrong type", { ...good, model: ["pico"] }, 400, /model/],
      ["no model", { ...good, model: undefined }, 400, /model/],
      ["an unknown model", { ...good, model: "picco" }, 404, /picco/],
      ["a model that is a path", { ...good, model: `${folder.path}/secret.png` }, 404, /not found|no model/i],
      ["half of a body", JSON.stringify(good).slice(0, -20), 400, /JSON/],
      ["text", "hello", 400, /JSON/],
      ["nothing", "", 400, /body|empty|JSON/i],
      ["null", "null", 400, /./],
      ["a list", "[]", 400, /./],
      ["deep JSON", `${"[".repeat(100_000)}${"]".repeat(100_000)}`, 400, /deep|nest/i],
      [
        "deep JSON in a message",
        `{"model":"pico","messages":${"[".repeat(5000)}${"]".repeat(5000)}}`,
        400,
        /deep|nest/i,
      ],
      ["100 MB", Buffer.alloc(100e6, 120).toString("latin1"), 413, /64 MiB/],
    ];
    if (dialect.name !== "Ollama") {
      cases.push(
        ["no messages", withMessages(), 400, /messages/],
        ["a part", withMessages({ role: "user", content: [{ type: "smell", smell: "x" }] }), 400, /smell/],
        [
          "a part of no type",
          withMessages({ role: "user", content: [{ text: "x" }] }),
          400,
          /messages\[0\]\.content\[0\]/,
        ],
      );
    } else {
      cases.push([
        "images of a wrong type",
        withMessages({ role: "user", content: "x", images: [7] }),
        400,
        /images\[0\]/,
      ]);
    }
    for (const [name, body, status, words] of cases) {
      expect({ name, ...(await outcomeOf(dialect, body)) }).toEqual({ name, ...refusal(status, words) });
    }
  });
});

it("a JPEG that a camera would send is answered, so that refusals mean something", async () => {
  const photo = await sharp(png).jpeg().toBuffer();
  for (const dialect of DIALECTS) {
    expect(await answer(server, dialect, { ...GOOD, pictures: [base64(photo)] })).not.toBe("");
  }
});

it("a path is no file in Anthropic's base64 either", async () => {
  const dialect = DIALECTS.find(({ name }) => name === "Anthropic")!;
  const source = { type: "base64", media_type: "image/png", data: join(folder.path, "secret.png") };
  const body = { ...dialect.ask(GOOD), messages: [{ role: "user", content: [{ type: "image", source }] }] };
  expect(await outcomeOf(dialect, body)).toEqual(refusal(400, /names a file/));
});
