import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MullError } from "../spec/errors.ts";
import { candidatePackages, findPackage, readPackage } from "./library-package.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "mull-package-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

function install(version: string, directory: string, files: readonly string[]): void {
  const libraries = path.join(folder, "bins", directory);
  mkdirSync(libraries, { recursive: true });
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ version }));
  for (const file of files) writeFileSync(path.join(libraries, file), "");
}

function errorOf(action: () => unknown): MullError {
  try {
    action();
  } catch (error) {
    if (MullError.is(error)) return error;
  }
  throw new Error("no MullError was thrown");
}

describe("candidatePackages", () => {
  test("names the package of every supported platform", () => {
    const platforms = ["linux-x64", "linux-arm64", "darwin-arm64", "darwin-x64", "win32-x64", "win32-arm64"];
    expect(platforms.map((platform) => candidatePackages(platform, "cpu"))).toEqual(
      ["linux-x64", "linux-arm64", "mac-arm64-metal", "mac-x64", "win-x64", "win-arm64"].map((name) => [
        `@node-llama-cpp/${name}`,
      ]),
    );
  });

  test("prefers GPU packages, but not for the CPU", () => {
    expect(candidatePackages("linux-x64", "auto")).toEqual([
      "@node-llama-cpp/linux-x64-cuda",
      "@node-llama-cpp/linux-x64-vulkan",
      "@node-llama-cpp/linux-x64",
    ]);
    expect(candidatePackages("linux-x64", "cpu")).toEqual(["@node-llama-cpp/linux-x64"]);
  });

  test("refuses other platforms and says which there are", () => {
    const error = errorOf(() => candidatePackages("freebsd-x64", "auto"));
    expect(error.code).toBe("engine_unavailable");
    expect(error.message).toContain("freebsd-x64");
    expect(error.hint).toContain("linux-arm64");
  });
});

describe("readPackage", () => {
  test.each([
    [
      "linux-x64",
      "cpu",
      ["libggml-base.so", "libggml.v0.4.0.so", "libllama.v0.4.0.so", "libllama-common.so"],
    ],
    [
      "linux-x64-vulkan",
      "vulkan",
      ["libggml-base.so", "libggml.vulkan.v0.4.0.so", "libllama.vulkan.v0.4.0.so"],
    ],
    [
      "mac-arm64-metal",
      "metal",
      ["libggml-base.dylib", "libggml.metal.v0.4.0.dylib", "libllama.metal.v0.4.0.dylib"],
    ],
    ["win-x64", "cpu", ["ggml-base.dll", "ggml.v0.4.0.dll", "llama.v0.4.0.dll", "llama-common.dll"]],
  ] as const)("finds the libraries of %s", (name, variant, files) => {
    install("3.21.1", name, [...files, "libggml-cpu-zen4.so", "ggml-cpu-x64.dll", "llama-addon.node"]);
    const found = readPackage(`@node-llama-cpp/${name}`, folder);
    expect(found.variant).toBe(variant);
    expect([found.base, found.ggml, found.llama].map((file) => path.basename(file))).toEqual(
      files.slice(0, 3),
    );
    expect(found.directory).toBe(path.join(folder, "bins", name));
  });

  test("refuses another version and gives the command that installs the right one", () => {
    install("3.22.0", "linux-x64", []);
    const error = errorOf(() => readPackage("@node-llama-cpp/linux-x64", folder));
    expect(error.code).toBe("engine_unavailable");
    expect(error.message).toContain("3.22.0");
    expect(error.hint).toContain("npm install @node-llama-cpp/linux-x64@3.21.1");
  });

  test("names the library that a damaged package lacks", () => {
    install("3.21.1", "linux-x64", ["libggml-base.so", "libggml.v0.4.0.so"]);
    expect(errorOf(() => readPackage("@node-llama-cpp/linux-x64", folder)).message).toContain("llama");
  });

  test("a package that is not installed is not found", () => {
    expect(findPackage("@node-llama-cpp/no-such-platform")).toBeUndefined();
  });
});
