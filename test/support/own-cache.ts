import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** Every test file has a disk cache of its own: what another one left there must not change what is measured. */
const folder: string = mkdtempSync(join(tmpdir(), "mull-test-cache-"));
process.env["XDG_CACHE_HOME"] = folder;
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
