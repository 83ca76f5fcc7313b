import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));

/** docs/architecture.md: a folder may import itself and what stands in an earlier row. */
const TIERS: readonly (readonly string[])[] = [
  ["spec"],
  ["process"],
  ["media", "chat", "gguf", "cache"],
  ["providers"],
  ["native"],
  ["encoders"],
  ["store"],
  ["engine", "search"],
  ["server", "ai-sdk"],
  ["cli"],
];

const files = readdirSync(source, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"));

function importsOf(file: string): string[] {
  const text = readFileSync(join(source, file), "utf8");
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(
    (match) => match[1] as string,
  );
  return specifiers.filter((specifier) => specifier.startsWith("."));
}

function folderOf(file: string): string {
  return file.includes(sep) ? (file.split(sep)[0] as string) : "";
}

describe("direction of dependencies", () => {
  const tierOf = (folder: string): number => TIERS.findIndex((tier) => tier.includes(folder));

  it("knows every folder", () => {
    const folders = new Set(files.map(folderOf).filter((folder) => folder !== ""));
    expect([...folders].filter((folder) => tierOf(folder) < 0)).toEqual([]);
  });

  it("has no arrow that points up or across", () => {
    const wrong: string[] = [];
    for (const file of files) {
      const from = folderOf(file);
      if (from === "") continue;
      for (const specifier of importsOf(file)) {
        const to = folderOf(relative(source, join(source, dirname(file), specifier)));
        if (to !== from && tierOf(to) >= tierOf(from)) wrong.push(`${file} imports ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("lets only encoders and the engine reach native code", () => {
    const wrong = files.filter(
      (file) =>
        !["native", "encoders", "engine"].includes(folderOf(file)) &&
        importsOf(file).some((specifier) => specifier.includes("/native/")),
    );
    expect(wrong).toEqual([]);
  });

  it("takes only types from an optional package", () => {
    const wrong = files.filter((file) =>
      /^(?:import|export) (?!type )[^;]*?from "@ai-sdk\/provider"/m.test(
        readFileSync(join(source, file), "utf8"),
      ),
    );
    expect(wrong).toEqual([]);
  });

  it("keeps native code out of the program that calls the library", () => {
    // What index.ts and the command reach without a process border must not contain the FFI or a decoder.
    const seen = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(join(source, file), "utf8");
      // Type-only imports vanish when compiled.
      for (const [, specifier] of text.matchAll(/^(?:import|export) (?!type )[^;]*?from "(\.[^"]+)"/gm)) {
        visit(relative(source, join(source, dirname(file), specifier as string)));
      }
    };
    visit("index.ts");
    visit(join("ai-sdk", "create-mull.ts"));
    visit(join("cli", "main.ts"));
    expect([...seen].filter((file) => folderOf(file) === "native")).toEqual([]);
    const packages = [...seen].filter((file) =>
      /from "(?:koffi|sharp)"/.test(readFileSync(join(source, file), "utf8")),
    );
    expect(packages).toEqual([]);
  });
});
