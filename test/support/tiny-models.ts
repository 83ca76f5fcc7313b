import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { type TextModelShape, writeRandomTextModel } from "../../bench/random-model.ts";
import { type ProjectorShape, writeRandomProjector } from "../../bench/random-projector.ts";

/** A folder that lives as long as the tests of one file. */
export function temporaryFolder(): { readonly path: string } {
  const folder = { path: "" };
  beforeAll(() => {
    folder.path = mkdtempSync(join(tmpdir(), "mull-test-"));
  });
  afterAll(() => rmSync(folder.path, { recursive: true, force: true }));
  return folder;
}

/** Writes a pair of tiny random models and returns their paths. */
export async function tinyPair(
  folder: string,
  shapes: { text?: Partial<TextModelShape>; projector?: Partial<ProjectorShape> } = {},
): Promise<{ model: string; projector: string }> {
  const name = `${process.pid}-${Math.random().toString(36).slice(2)}`;
  const model = join(folder, `${name}.gguf`);
  const projector = join(folder, `${name}-mmproj.gguf`);
  await writeRandomTextModel(model, shapes.text);
  await writeRandomProjector(projector, shapes.projector);
  return { model, projector };
}
