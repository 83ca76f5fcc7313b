import { stat } from "node:fs/promises";
import type { LoadOptions } from "../../spec/options.ts";

/** All files that a model is loaded from. */
export function filesOf({ model, splitFiles, projector, adapters = [] }: LoadOptions): string[] {
  const text = splitFiles ?? (model === undefined ? [] : [model]);
  return [...text, ...(projector === undefined ? [] : [projector]), ...adapters];
}

/** In bytes, of those that are there. */
export async function sizeOf(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

export async function newestOf(files: readonly string[]): Promise<Date> {
  const times = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  return new Date(Math.max(0, ...times));
}
