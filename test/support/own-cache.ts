import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/**
 * Every test file has a disk cache, a store of models and a home of its own: what another one left there, and what the
 * tester keeps on this machine, must not change what is measured. Nothing is downloaded.
 */
const folder: string = mkdtempSync(join(tmpdir(), "mull-test-cache-"));
process.env["XDG_CACHE_HOME"] = folder;
process.env["XDG_DATA_HOME"] = join(folder, "data");
process.env["MULL_MODELS"] = join(folder, "models");
process.env["MULL_OFFLINE"] = "1";
process.env["HOME"] = join(folder, "home");
for (const name of ["OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE"])
  delete process.env[name];
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
