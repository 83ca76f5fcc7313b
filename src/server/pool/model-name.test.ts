import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalName } from "./model-name.ts";

describe("canonicalName", () => {
  it.each([
    ["pico", "pico:latest"],
    ["pico:latest", "pico:latest"],
    ["llava:7b-v1.6", "llava:7b-v1.6"],
    ["library/llava", "llava:latest"],
    ["registry.ollama.ai/library/llava:7b", "llava:7b"],
    ["me/llava", "me/llava:latest"],
    ["host:5000/me/llava", "host:5000/me/llava:latest"],
    ["Llava", "Llava:latest"],
  ])("makes %s into %s", (name, canonical) => expect(canonicalName(name)).toBe(canonical));

  it.each([
    "",
    " pico",
    "pico ",
    "../pico",
    "/etc/passwd",
    "a:b:c",
    "a//b",
    "pico:",
    ":x",
    "a\nb",
    "a/b/c/d",
    "é",
  ])("refuses %j", (name) => expect(canonicalName(name)).toBeUndefined());

  it("is the same when made twice, and never a path", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "b", ".", "/", ":", "-", "_", "\\", "~", " ") }),
        (name) => {
          const canonical = canonicalName(name);
          if (canonical === undefined) return;
          expect(canonicalName(canonical)).toBe(canonical);
          expect(canonical).not.toMatch(/^[./~\\]|\\|\/\.\.?\//);
        },
      ),
    );
  });
});
