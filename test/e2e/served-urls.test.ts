import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { plainPicture } from "../../bench/test-picture.ts";
import { pretendInternet } from "../support/pretend-internet.ts";
import { killServersAtEnd, type ServedCommand, startServe } from "../support/served-command.ts";
import { answer, DIALECTS, post } from "../support/wire-dialects.ts";

/** `mull serve --allow-urls` in an internet of our own, which means no good. */
killServersAtEnd();
let server: ServedCommand;
/** "address host path" of each request that was sent. */
let visits: string[] = [];

const RED = plainPicture(64, 64, [255, 0, 0]);
const HOSTS = {
  "pictures.example": "8.8.8.8",
  "other.example": "1.1.1.1",
  "inside.example": "10.0.0.7",
  "rebound.example": "127.0.0.1",
  "cloud.example": "169.254.169.254",
};
/** Where each path of pictures.example leads. */
const REDIRECTS: Readonly<Record<string, string>> = {
  "/once": "https://other.example/red.png",
  "/thrice": "/twice",
  "/twice": "/once",
  "/long": "/thrice",
  "/for-ever": "/for-ever",
  "/to-http": "http://pictures.example/red.png",
  "/to-file": "file:///etc/passwd",
  "/to-port": "https://pictures.example:8443/red.png",
  "/to-loopback": "https://127.0.0.1/red.png",
  "/to-loopback-6": "https://[::1]/red.png",
  "/to-decimal": "https://2130706433/red.png",
  "/to-metadata": "https://169.254.169.254/latest/meta-data",
  "/to-inside": "https://inside.example/red.png",
  "/to-rebound": "https://rebound.example/red.png",
  "/to-cloud": "//cloud.example/red.png",
  "/to-user": "https://user:password@other.example/red.png",
};

const internet = createServer((socket) => {
  socket.on("error", () => {});
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (!text.includes("\r\n\r\n")) return;
    const [, address = "", path = "", host = ""] =
      /^CONNECT-TO (\S+)\r\nGET (\S+) [^]*?Host: (\S+)/.exec(text) ?? [];
    visits.push(`${address} ${host} ${path}`);
    const location = REDIRECTS[path];
    if (location !== undefined) {
      socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`);
    } else if (path === "/text") socket.end("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
    else {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${RED.length}\r\n\r\n`);
      socket.end(RED);
    }
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => void internet.listen(0, "127.0.0.1", resolve));
  const { port } = internet.address() as AddressInfo;
  server = await startServe(["--allow-urls", "--log-level", "debug"], pretendInternet(HOSTS, port));
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await new Promise((resolve) => void internet.close(resolve));
});

const COLOUR = "What colour is it?";
const at = (name: string): { text: string; pictures: { name: string }[] } => ({
  text: COLOUR,
  pictures: [{ name }],
});

it.each(["/red.png", "/once", "/thrice"])("a public picture at %s is looked at", async (path) => {
  const sent = { text: COLOUR, pictures: [{ base64: Buffer.from(RED).toString("base64") }] };
  for (const dialect of DIALECTS) {
    const expected = await answer(server, dialect, sent);
    expect(await answer(server, dialect, at(`https://pictures.example${path}`))).toBe(expected);
  }
});

it("redirects never lead inside, and all failures sound the same", async () => {
  const bad = Object.keys(REDIRECTS).filter((path) => path.startsWith("/to-"));
  const urls = [...bad, "/long", "/for-ever", "/text"].map((path) => `https://pictures.example${path}`);
  urls.push(
    "https://inside.example/red.png",
    "https://rebound.example/red.png",
    "https://nowhere.example/red.png",
  );
  for (const dialect of DIALECTS) {
    const messages = new Set<string>();
    for (const url of urls) {
      visits = [];
      const response = await post(server, dialect.path, dialect.ask(at(url)));
      const text = await response.text();
      expect([url, response.status, dialect.isError(JSON.parse(text))]).toEqual([url, 400, true]);
      messages.add(text);
      // Only the public host that was named has heard of it, a few times at most.
      expect(
        visits.filter((visit) => !/^(?:8\.8\.8\.8 pictures|1\.1\.1\.1 other)\.example \//.test(visit)),
      ).toEqual([]);
      expect(visits.length).toBeLessThanOrEqual(4);
    }
    expect([...messages]).toEqual([expect.stringMatching(/could not be fetched/)]);
  }
  expect(server.log()).not.toMatch(/example|8\.8\.8\.8|meta-data/);
});
