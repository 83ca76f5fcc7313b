import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Writes files into a new folder inside `parent`: bytes and text as they are, everything else as JSON. */
export function newModelFolder(parent: string, files: Readonly<Record<string, unknown>>): string {
  const path = mkdtempSync(join(parent, "model-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    const asIs = typeof content === "string" || content instanceof Uint8Array;
    writeFileSync(join(path, name), asIs ? content : JSON.stringify(content));
  }
  return path;
}
