import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { MullError } from "../spec/errors.ts";

/** The one release whose C headers `src/native` declares (llama.cpp tag v0.4.0). */
export const LIBRARY_VERSION = "3.21.1";

/** How the libraries inside a package compute. Every package also holds the CPU kernels. */
export type LibraryVariant = "cpu" | "metal" | "cuda" | "vulkan";

/** A package with the native libraries, and the files of it that we load by name. */
export interface LibraryPackage {
  name: string;
  variant: LibraryVariant;
  /** Folder that holds all libraries of the package. */
  directory: string;
  /** Paths. */
  base: string;
  ggml: string;
  llama: string;
}

const SCOPE = "@node-llama-cpp";
const CPU_PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};
/** In order of preference: where both are installed, CUDA is the faster one. */
const GPU_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  "linux-x64": ["linux-x64-cuda", "linux-x64-vulkan"],
  "win32-x64": ["win-x64-cuda", "win-x64-vulkan"],
};

/**
 * Names of the packages that can run here, best first; the last one is the one mull depends on.
 *
 * @param platform such as "linux-x64" (`process.platform`-`process.arch`)
 * @throws MullError `engine_unavailable` on a platform without prebuilt libraries
 */
export function candidatePackages(platform: string, device: "cpu" | "auto"): string[] {
  const cpu = CPU_PACKAGES[platform];
  if (cpu === undefined) {
    throw new MullError("engine_unavailable", `There is no prebuilt engine for ${platform}.`, {
      hint: `Local models run on ${Object.keys(CPU_PACKAGES).join(", ")}.`,
      details: { platform },
    });
  }
  const gpu = device === "auto" ? (GPU_PACKAGES[platform] ?? []) : [];
  return [...gpu, cpu].map((name) => `${SCOPE}/${name}`);
}

/**
 * Finds an installed package and its libraries.
 *
 * @returns undefined when the package is not installed
 * @throws MullError `engine_unavailable` when it is of another version or incomplete
 */
export function findPackage(name: string): LibraryPackage | undefined {
  let main: string;
  try {
    // Its `exports` hide package.json, so the folder is found from the main module: <folder>/dist/index.js.
    main = createRequire(import.meta.url).resolve(name);
  } catch {
    return undefined;
  }
  const folder = path.dirname(path.dirname(main));
  return readPackage(name, folder);
}

/** As `findPackage`, for a package whose folder is known. */
export function readPackage(name: string, folder: string): LibraryPackage {
  const { version } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as {
    version?: string;
  };
  if (version !== LIBRARY_VERSION) {
    throw new MullError(
      "engine_unavailable",
      `${name} is version ${version}, mull needs ${LIBRARY_VERSION}.`,
      {
        hint: `Install that one: ${installCommand(name)}`,
        details: { package: name, version },
      },
    );
  }
  const directory = path.join(folder, "bins", name.slice(SCOPE.length + 1));
  const files = listFiles(directory);
  return {
    name,
    variant: variantOf(name),
    directory,
    base: path.join(directory, libraryFile(files, "ggml-base", name)),
    ggml: path.join(directory, libraryFile(files, "ggml", name)),
    llama: path.join(directory, libraryFile(files, "llama", name)),
  };
}

/** The command that installs a package in the one version that fits. */
export function installCommand(name: string): string {
  return `npm install ${name}@${LIBRARY_VERSION}`;
}

function variantOf(name: string): LibraryVariant {
  for (const variant of ["metal", "cuda", "vulkan"] as const) {
    if (name.endsWith(`-${variant}`)) return variant;
  }
  return "cpu";
}

function listFiles(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** `libllama.v0.4.0.so`, `libllama.vulkan.v0.4.0.so`, `llama.v0.4.0.dll`: one stem, one variant, one version. */
function libraryFile(files: readonly string[], stem: string, packageName: string): string {
  const pattern = new RegExp(`^(lib)?${stem}(\\.[a-z]+)?(\\.v[0-9.]+)?\\.(so|dylib|dll)$`);
  const file = files.find((candidate) => pattern.test(candidate));
  if (file === undefined) {
    throw new MullError("engine_unavailable", `${packageName} lacks its library ${stem}.`, {
      hint: `Reinstall it: ${installCommand(packageName)} --force`,
      details: { package: packageName },
    });
  }
  return file;
}
