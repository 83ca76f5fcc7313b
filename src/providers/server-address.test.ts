import { describe, expect, it } from "vitest";
import { configuredServer, isLoopback, parseServerAddress } from "./server-address.ts";

describe("parseServerAddress", () => {
  it.each([
    ["", "http://127.0.0.1:11434/"],
    ["  10.0.0.5 ", "http://10.0.0.5:11434/"],
    ["10.0.0.5:8080", "http://10.0.0.5:8080/"],
    [":8080", "http://127.0.0.1:8080/"],
    ["gpu-box", "http://gpu-box:11434/"],
    ["gpu-box:80", "http://gpu-box/"],
    ["http://gpu-box", "http://gpu-box/"],
    ["HTTPS://gpu-box", "https://gpu-box/"],
    ["https://example.org/mull", "https://example.org/mull"],
    ["example.org/mull", "http://example.org:11434/mull"],
    ["::1", "http://[::1]:11434/"],
    ["[::1]:9", "http://[::1]:9/"],
    ["0.0.0.0", "http://127.0.0.1:11434/"],
    ["http://0.0.0.0:9", "http://127.0.0.1:9/"],
    ["[::]:9", "http://[::1]:9/"],
  ])("reads %j as %s", (text, expected) => {
    expect(parseServerAddress(text).href).toBe(expected);
  });

  it.each(["ftp://x", "host:99999", "host:port", "a b", "http://user:secret@host", "host/?key=1"])(
    "refuses %j",
    (text) => {
      expect(() => parseServerAddress(text, "MULL_HOST")).toThrow(
        expect.objectContaining({
          code: "invalid_argument",
          message: expect.stringContaining("MULL_HOST is"),
        }),
      );
    },
  );
});

describe("configuredServer", () => {
  it("takes MULL_HOST before OLLAMA_HOST before the default", () => {
    const { address, from } = configuredServer({ MULL_HOST: "a", OLLAMA_HOST: "b" });
    expect([address.hostname, from]).toEqual(["a", "MULL_HOST"]);
    expect(configuredServer({ MULL_HOST: " ", OLLAMA_HOST: "b" }).from).toBe("OLLAMA_HOST");
    expect(configuredServer({ OLLAMA_HOST: '"b:9"' }).address.host).toBe("b:9");
    expect(configuredServer({}).address.href).toBe("http://127.0.0.1:11434/");
    expect(configuredServer({}).from).toBeUndefined();
  });
});

describe("isLoopback", () => {
  it.each(["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "x.localhost"])("says yes to %s", (host) => {
    expect(isLoopback(new URL(`http://${host}:1`))).toBe(true);
  });

  it.each(["127.evil.org", "10.0.0.1", "localhost.evil.org", "[::2]"])("says no to %s", (host) => {
    expect(isLoopback(new URL(`http://${host}:1`))).toBe(false);
  });
});
