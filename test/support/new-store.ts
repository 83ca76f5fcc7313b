import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { ModelStore } from "../../src/store/model-store.ts";
import { openStore } from "../../src/store/open-store.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** The path of a store that is removed after the tests of this file. */
export function newStoreRoot(): string {
  const folder = mkdtempSync(join(tmpdir(), "mull-store-"));
  folders.push(folder);
  return folder;
}

export function newStore(): ModelStore {
  return openStore({ root: newStoreRoot() });
}
