import { describe, expect, it } from "vitest";
import { parseListenAddress } from "./listen-address.ts";
import { isLoopback } from "./loopback.ts";
import { DEFAULT_SERVER_OPTIONS, resolveServerOptions } from "./resolve-server-options.ts";
import type { ServerOptions } from "./server-options.ts";

const KEYS = { apiKeys: ["k"] };

describe("an address to listen on", () => {
  it.each([
    ["", {}],
    ["10.0.0.5", { host: "10.0.0.5" }],
    ["gpu-box:8080", { host: "gpu-box", port: 8080 }],
    [":8080", { port: 8080 }],
    ["0.0.0.0", { host: "0.0.0.0" }],
    ["http://0.0.0.0", { host: "0.0.0.0", port: 80 }],
    ["https://gpu-box/", { host: "gpu-box", port: 443 }],
    ["HTTP://127.0.0.1:11434", { host: "127.0.0.1", port: 11434 }],
    ["http://:1", { port: 1 }],
    ["::1", { host: "::1" }],
    ["[::1]", { host: "::1" }],
    ["[::1]:1", { host: "::1", port: 1 }],
    ["http://[::]:0", { host: "::", port: 0 }],
    ["  localhost ", { host: "localhost" }],
  ])("%j", (text, address) => {
    expect(parseListenAddress(text, "OLLAMA_HOST")).toEqual(address);
  });

  it.each([
    "ftp://x",
    "x:99999",
    "x:port",
    "a b",
    "http://user@x",
    "http://x/path",
    "[::1",
    "x:1:2",
    "-x",
    "http://",
  ])("%j is none", (text) => {
    expect(() => parseListenAddress(text, "OLLAMA_HOST")).toThrow(
      `OLLAMA_HOST is "${text}", which is no address`,
    );
  });
});

describe("options of the server", () => {
  it("have defaults", () => {
    expect(resolveServerOptions({})).toEqual(DEFAULT_SERVER_OPTIONS);
    expect(DEFAULT_SERVER_OPTIONS).toMatchObject({
      host: "127.0.0.1",
      port: 11434,
      parallel: "auto",
      maxQueue: 512,
    });
  });

  it.each([
    [{ OLLAMA_HOST: "localhost:1" }, { host: "localhost", port: 1 }],
    [
      { OLLAMA_HOST: "localhost:1", MULL_HOST: "::1" },
      { host: "::1", port: 11434 },
    ],
    [{ OLLAMA_HOST: '"127.0.0.2"', MULL_HOST: " " }, { host: "127.0.0.2" }],
    [{ MULL_API_KEY: "secret" }, { apiKeys: ["secret"] }],
    [{ MULL_API_KEY: "" }, { apiKeys: [] }],
    [{ OLLAMA_KEEP_ALIVE: "1h30m" }, { keepAliveMs: 5_400_000 }],
    [{ OLLAMA_KEEP_ALIVE: "90" }, { keepAliveMs: 90_000 }],
    [{ OLLAMA_KEEP_ALIVE: "-1" }, { keepAliveMs: Infinity }],
    [{ OLLAMA_KEEP_ALIVE: "-1m" }, { keepAliveMs: Infinity }],
    [{ OLLAMA_KEEP_ALIVE: "0" }, { keepAliveMs: 0 }],
    [{ OLLAMA_NUM_PARALLEL: "4" }, { parallel: 4 }],
    [{ OLLAMA_NUM_PARALLEL: "0" }, { parallel: "auto" }],
    [{ OLLAMA_MAX_QUEUE: "7" }, { maxQueue: 7 }],
    [{ OLLAMA_MAX_LOADED_MODELS: "2" }, { maxLoadedModels: 2 }],
    [{ OLLAMA_MAX_LOADED_MODELS: "0" }, { maxLoadedModels: 3 }],
    [
      { OLLAMA_ORIGINS: "https://a.example, app://*,http://b.example/" },
      { allowedOrigins: ["https://a.example", "app://*", "http://b.example"] },
    ],
    [{ OLLAMA_ORIGINS: "*" }, { allowedOrigins: ["*"] }],
    [{ OLLAMA_DEBUG: "1" }, {}],
  ])("come from the environment: %j", (env, expected) => {
    expect(resolveServerOptions({}, env)).toMatchObject(expected);
  });

  it("given by the caller go before the environment", () => {
    const env = { OLLAMA_HOST: "localhost:1", MULL_API_KEY: "a", OLLAMA_MAX_QUEUE: "1" };
    expect(resolveServerOptions({ port: 2, apiKeys: ["b"], maxQueue: 3 }, env)).toMatchObject({
      host: "localhost",
      port: 2,
      apiKeys: ["b"],
      maxQueue: 3,
    });
  });

  it.each<[Partial<ServerOptions>, string]>([
    [{ port: 70_000 }, "port must be at most 65535"],
    [{ port: 1.5 }, "port must be a whole number"],
    [{ parallel: 0 }, "parallel must be"],
    [{ maxQueue: -1 }, "maxQueue must be"],
    [{ maxLoadedModels: 0 }, "maxLoadedModels must be"],
    [{ maxTokens: 0 }, "maxTokens must be"],
    [{ keepAliveMs: Number.NaN }, "keepAliveMs must be"],
    [{ drainMs: -1 }, "drainMs must be"],
    [{ apiKeys: [""] }, "An API key must be"],
    [{ apiKeys: ["two words"] }, "An API key must be"],
    [{ allowedHosts: ["http://x"] }, 'The host "http://x"'],
    [{ allowedOrigins: ["chat.example"] }, 'The origin "chat.example"'],
    [{ allowedOrigins: ["https://x/path"] }, "The origin"],
    [{ prot: 1 } as Partial<ServerOptions>, "prot is not an option"],
  ])("%j is refused", (given, complaint) => {
    expect(() => resolveServerOptions(given)).toThrow(complaint);
  });

  it.each([
    { OLLAMA_KEEP_ALIVE: "soon" },
    { OLLAMA_NUM_PARALLEL: "-1" },
    { OLLAMA_MAX_QUEUE: "many" },
    { OLLAMA_HOST: "a b" },
  ])("%j is refused", (env) => {
    expect(() => resolveServerOptions({}, env)).toThrow(Object.keys(env)[0]);
  });

  it("want a key for every address that others can reach", () => {
    for (const host of ["0.0.0.0", "::", "10.0.0.5", "gpu-box", "128.0.0.1", "localhost.example"]) {
      expect(() => resolveServerOptions({ host })).toThrow(
        expect.objectContaining({
          code: "forbidden",
          hint: expect.stringContaining("MULL_API_KEY") as string,
        }),
      );
      expect(resolveServerOptions({ host, ...KEYS }).host).toBe(host);
    }
    for (const host of ["127.0.0.1", "127.1.2.3", "::1", "localhost"]) {
      expect(isLoopback(host)).toBe(true);
      expect(resolveServerOptions({ host }).host).toBe(host);
    }
  });
});
