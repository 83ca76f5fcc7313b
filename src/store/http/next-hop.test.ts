import { describe, expect, it } from "vitest";
import { nextHop } from "./next-hop.ts";

const hop = (from: string, to: string, allowPlainHttp = false): string =>
  nextHop(new URL(from), to, allowPlainHttp).href;

describe("nextHop", () => {
  it.each([
    ["https://a.example/x/y", "z?q#hash", "https://a.example/x/z?q"],
    ["https://a.example/x", "//b.example/y", "https://b.example/y"],
    ["https://a.example/x", "https://me:secret@b.example/", "https://b.example/"],
    ["http://127.0.0.1:5000/", "http://localhost:6000/", "http://localhost:6000/"],
    ["https://10.0.0.1/", "https://10.0.0.2/", "https://10.0.0.2/"],
  ])("from %s to %s", (from, to, url) => {
    expect(hop(from, to)).toBe(url);
  });

  it.each([
    ["https://a.example/", "http://a.example/"],
    ["https://a.example/", "http://127.0.0.1/"],
    ["https://a.example/", "https://127.1/"],
    ["https://a.example/", "https://2130706433/"],
    ["https://a.example/", "https://localhost:8443/"],
    ["https://a.example/", "https://[::1]/"],
    ["https://a.example/", "https://[::ffff:7f00:1]/"],
    ["https://a.example/", "https://169.254.169.254/latest/meta-data"],
    ["http://127.0.0.1/", "http://169.254.169.254/latest/meta-data"],
    ["https://a.example/", "https://0.0.0.0/"],
    ["https://a.example/", "https://[::]/"],
    ["https://a.example/", "https://[fe80::1]/"],
    ["http://127.0.0.1/", "http://a.example/"],
    ["https://a.example/", "file:///etc/passwd"],
    ["https://a.example/", "data:text/plain,x"],
    ["https://a.example/", "https://"],
  ])("not from %s to %s", (from, to) => {
    expect(() => hop(from, to, from.startsWith("https"))).toThrow(/it redirects/);
  });

  it("stays with plain http where that is allowed", () => {
    expect(hop("http://a.example/", "http://b.example/", true)).toBe("http://b.example/");
  });
});
