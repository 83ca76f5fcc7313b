import * as fc from "fast-check";
import { isAbsolute, relative, sep } from "node:path";
import { describe, expect, it } from "vitest";
import { MullError } from "../spec/errors.ts";
import { parseDigest } from "./digest.ts";
import { formatModelName, modelName, nameKey, parseModelName } from "./model-name.ts";
import { type ModelReference, parseReference } from "./reference.ts";
import { storePaths } from "./store-paths.ts";

const HEX = "0123456789abcdef".repeat(4);

describe("parseReference", () => {
  it.each([
    ["llava", "registry.ollama.ai/library/llava:latest"],
    ["llava:13b", "registry.ollama.ai/library/llava:13b"],
    ["user/model:tag", "registry.ollama.ai/user/model:tag"],
    ["localhost:5000/ns/model", "localhost:5000/ns/model:latest"],
    ["registry.example.com/team/vlm:v2.1", "registry.example.com/team/vlm:v2.1"],
    ["https://registry.example.com/team/vlm", "registry.example.com/team/vlm:latest"],
  ])("takes %s for a name", (text, full) => {
    const reference = parseReference(text);
    if (reference.kind !== "registry") throw new Error(reference.kind);
    const { host, namespace, model, tag } = reference.name;
    expect(`${host}/${namespace}/${model}:${tag}`).toBe(full);
    expect(reference.protocol).toBe("https");
  });

  it("takes the protocol from a scheme", () => {
    expect(parseReference("http://127.0.0.1:5000/library/x:1")).toMatchObject({
      kind: "registry",
      protocol: "http",
      name: { host: "127.0.0.1:5000", namespace: "library", model: "x", tag: "1" },
    });
  });

  it.each([
    ["hf.co/org/repo", undefined, "latest"],
    ["hf.co/org/repo:Q4_K_M", "Q4_K_M", "Q4_K_M"],
    ["huggingface.co/org/repo:latest", undefined, "latest"],
    ["https://huggingface.co/org/repo", undefined, "latest"],
    ["hf://org/repo:q8_0", "q8_0", "q8_0"],
    ["hf.co/org/repo:m-Q8_0.gguf", "m-Q8_0.gguf", "m-Q8_0.gguf"],
  ])("takes %s for Hugging Face", (text, quantization, tag) => {
    expect(parseReference(text)).toMatchObject({
      kind: "hugging-face",
      repository: "org/repo",
      quantization,
      name: { host: "hf.co", namespace: "org", model: "repo", tag },
    });
  });

  it("takes the address of a file, and gives each its own name", () => {
    const one = parseReference("https://host.example/a/b/llava%20v1.gguf");
    expect(one).toMatchObject({ kind: "url", url: "https://host.example/a/b/llava%20v1.gguf" });
    expect(one).toMatchObject({ name: { host: "host.example", namespace: "url", model: "llava-v1" } });
    expect(parseReference("https://host.example/c/llava%20v1.gguf")).not.toEqual(one);
  });

  it.each(["./x", "../x.gguf", "/abs/x", "~/models/x.gguf", "x.gguf", "dir/x.GGUF", "C:\\m\\x.gguf", "."])(
    "takes %s for a path",
    (path) => expect(parseReference(path)).toEqual({ kind: "path", path }),
  );

  it("takes a digest", () => {
    expect(parseReference(`sha256:${HEX.toUpperCase()}`)).toEqual({
      kind: "digest",
      digest: `sha256:${HEX}`,
    });
  });

  it.each([
    "",
    "a b",
    "a/b/c/d",
    "a:b:c",
    "-x",
    "..a/b",
    "a/..b:c",
    "ftp://host/x.gguf",
    "file:///etc/passwd",
    "https://user:secret@host.example/x.gguf",
    "hf.co/org",
    "hf.co/org/repo/file",
    "hf.co/org/repo:../x",
    "sha256:abc",
    "ns.dot/model",
    "x\0y",
    "x".repeat(100),
    "modèle",
  ])("refuses %j", (text) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ code: "invalid_argument" }) as MullError,
    );
  });

  it("never repeats a password", () => {
    expect(() => parseReference("https://user:hunter2@host.example/x.gguf")).toThrow(/^(?!.*hunter2)/);
  });

  const part = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,30}$/);
  const host = fc.oneof(
    fc.constant("registry.ollama.ai"),
    fc.stringMatching(/^[a-z][a-z0-9]{0,8}\.[a-z]{2,5}(:[1-9][0-9]{1,3})?$/),
  );

  it("reads again what it prints", () => {
    fc.assert(
      fc.property(fc.record({ host, namespace: part, model: part, tag: part }), (parts) => {
        const name = modelName(parts);
        const again = parseModelName(formatModelName(name));
        expect(again === undefined ? undefined : nameKey(again)).toBe(nameKey(name));
      }),
    );
  });

  it("ends in a name or an error for any text, and no name leaves its folder", () => {
    const root = "/models";
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), nasty()), (text) => {
        const reference = attempt(text);
        expect(!(reference instanceof Error) || MullError.is(reference)).toBe(true);
        if (reference instanceof Error || !("name" in reference)) return;
        const inside = relative(storePaths(root).manifests, storePaths(root).manifest(reference.name));
        expect(isAbsolute(inside) || inside.includes("..")).toBe(false);
        expect(inside.split(sep)).toHaveLength(4);
      }),
      { numRuns: 2000 },
    );
  });

  function attempt(text: string): ModelReference | Error {
    try {
      return parseReference(text);
    } catch (error) {
      return error as Error;
    }
  }

  function nasty(): fc.Arbitrary<string> {
    const piece = fc.constantFrom(
      "..",
      ".",
      "/",
      "\\",
      ":",
      "a",
      "hf.co",
      "https://",
      "\0",
      "%2e%2e",
      "~",
      "@",
    );
    return fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
  }
});

describe("parseDigest", () => {
  it("takes both spellings and nothing else", () => {
    expect(parseDigest(`sha256-${HEX}`)).toBe(`sha256:${HEX}`);
    for (const text of [
      "../../x",
      `sha256:${HEX}0`,
      `sha256:${HEX.slice(1)}g`,
      `sha512:${HEX}`,
      `sha256:../${HEX}`,
    ])
      expect(parseDigest(text)).toBeUndefined();
  });
});
