import type { LibraryHandle } from "koffi";
import { MullError } from "../spec/errors.ts";
import { type Koffi, loadKoffi } from "./koffi.ts";
import {
  LIBRARY_VERSION,
  type LibraryPackage,
  type LibraryVariant,
  candidatePackages,
  findPackage,
  installCommand,
} from "./library-package.ts";

/** The loaded native libraries, with every compute backend of theirs registered. */
export interface Libraries {
  /** Folder they came from. */
  directory: string;
  variant: LibraryVariant;
  koffi: Koffi;
  /** libggml-base: tensors, graphs, buffers, quantisation. */
  base: LibraryHandle;
  /** libggml: the registry of devices. */
  ggml: LibraryHandle;
  llama: LibraryHandle;
}

export interface LoadLibrariesOptions {
  /** `cpu` ignores GPU packages; `auto` prefers one if it is installed and loads. */
  device: "cpu" | "auto";
  /**
   * What ggml does with its log lines: `stderr` (right where a parent keeps the last of them), or `none`.
   * Default `none`. Lines that explain an abort are always written to stderr.
   */
  logs?: "none" | "stderr";
}

/** Native libraries live as long as the process, and devices may be registered only once. */
const loaded = new Map<string, Libraries>();

/**
 * Finds and loads ggml and llama for this platform, and registers their devices.
 * The first call takes about 20 ms; later ones return the same libraries.
 *
 * @throws MullError `engine_unavailable`: unsupported platform, musl, package missing, damaged, or of another version
 */
export function loadLibraries(options: LoadLibrariesOptions): Libraries {
  const names = candidatePackages(`${process.platform}-${process.arch}`, options.device);
  let failure: unknown;
  for (const name of names) {
    const found = findPackage(name);
    if (found === undefined) continue;
    const earlier = loaded.get(found.directory);
    if (earlier !== undefined) return earlier;
    try {
      const libraries = loadPackage(found, options.logs ?? "none");
      loaded.set(found.directory, libraries);
      return libraries;
    } catch (error) {
      if (MullError.is(error)) throw error;
      // A GPU package that does not load here (no driver, old system) must not keep the CPU from working.
      failure = error;
    }
  }
  throw unavailable(names.at(-1) ?? "", failure);
}

function loadPackage(found: LibraryPackage, logs: "none" | "stderr"): Libraries {
  const koffi = loadKoffi();
  const opened: LibraryHandle[] = [];
  const open = (file: string): LibraryHandle => {
    // Global: the later libraries and the kernels find the symbols of the earlier ones.
    const handle = koffi.load(file, { global: true });
    opened.push(handle);
    return handle;
  };
  try {
    const { directory, variant } = found;
    const [base, ggml, llama] = [open(found.base), open(found.ggml), open(found.llama)];
    const libraries: Libraries = { directory, variant, koffi, base, ggml, llama };
    if (logs === "none") silenceLogs(libraries);
    ggml.func("ggml_backend_load_all_from_path", "void", ["str"])(directory);
    return libraries;
  } catch (error) {
    for (const handle of opened.reverse()) handle.unload();
    throw error;
  }
}

/**
 * Gives ggml and llama a log callback that does nothing. It is one of ggml's own functions that only returns a constant:
 * log lines come from foreign threads, and a callback into JavaScript from there would crash the process.
 */
function silenceLogs({ base, llama }: Libraries): void {
  const nothing = base.symbol("ggml_tensor_overhead");
  base.func("ggml_log_set", "void", ["void*", "void*"])(nothing, null);
  llama.func("llama_log_set", "void", ["void*", "void*"])(nothing, null);
}

function unavailable(packageName: string, failure: unknown): MullError {
  if (isMusl()) {
    return new MullError(
      "engine_unavailable",
      "The prebuilt engine needs glibc; this system has musl libc.",
      {
        hint: "Use a Debian-based image such as node:22-slim instead of an Alpine one.",
      },
    );
  }
  if (failure === undefined) {
    return new MullError("engine_unavailable", `The engine's package ${packageName} is not installed.`, {
      hint: `Install it: ${installCommand(packageName)} (npm's --omit=optional leaves it out)`,
      details: { package: packageName, version: LIBRARY_VERSION },
    });
  }
  const reason = MullError.wrap(failure).message;
  return new MullError("engine_unavailable", `The libraries of ${packageName} do not load: ${reason}`, {
    hint: `Reinstall them: ${installCommand(packageName)} --force`,
    details: { package: packageName },
    cause: failure,
  });
}

/** Node names the glibc it runs on; on musl there is none to name. */
function isMusl(): boolean {
  if (process.platform !== "linux") return false;
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined;
}
