import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { TEXT_SIZE, writeCheckpointFolder } from "../../../test/support/llava-checkpoint.ts";
import { temporaryFolder } from "../../../test/support/tiny-models.ts";
import { encodeSafetensors } from "../../../test/support/write-safetensors.ts";
import { MullError } from "../../spec/errors.ts";
import { convertFolder } from "./convert-folder.ts";
import { convertModel } from "./convert-model.ts";
import { readSafetensors } from "./safetensors.ts";

const folder = temporaryFolder();
const newOutput = (): string => mkdtempSync(join(folder.path, "output-"));

/** A model that takes long enough to be interrupted: 200 MB. */
async function writeLargeModel(): Promise<string> {
  const { folder: path } = await writeCheckpointFolder(folder.path, { layout: "text-only" });
  const file = join(path, "model.safetensors");
  const bytes = readFileSync(file);
  const width = 2 ** 17;
  const tensors = Object.fromEntries(
    (await readSafetensors(file)).map(({ name, dtype, shape, offset, bytes: length }) => {
      const data = bytes.subarray(offset, offset + length);
      if (!name.includes(".mlp.")) return [name, { dtype, shape, data }];
      const wide = shape.map((side) => (side === TEXT_SIZE.feedForward ? width : side));
      return [name, { dtype, shape: wide, data: new Uint8Array(width * TEXT_SIZE.embedding * 4) }];
    }),
  );
  writeFileSync(file, encodeSafetensors(tensors));
  const config = join(path, "config.json");
  writeFileSync(config, readFileSync(config, "utf8").replace(/("intermediate_size":)\d+/, `$1${width}`));
  return path;
}

describe("a conversion in a process of its own", () => {
  it("writes the same bytes, and tells how far it is", async () => {
    const { folder: source } = await writeCheckpointFolder(folder.path, { version: "1.6", shards: 2 });
    const seen: [number, number][] = [];
    const converted = await convertModel(source, newOutput(), {
      type: "f16",
      onProgress: (completed, total) => seen.push([completed, total]),
    });
    const expected = await convertFolder(source, newOutput(), { type: "f16" });
    expect(converted.warnings).toEqual(expected.warnings);
    for (const key of ["model", "projector"] as const) {
      const [actual, wanted] = [converted[key] as string, expected[key] as string];
      expect(basename(actual)).toBe(basename(wanted));
      expect(readFileSync(actual).equals(readFileSync(wanted))).toBe(true);
    }
    const [completed, total] = seen.at(-1) as [number, number];
    expect(completed).toBe(total);
  });

  it("fails with the error of the one that failed", async () => {
    const { folder: source } = await writeCheckpointFolder(folder.path);
    writeFileSync(join(source, "model.safetensors"), "{}");
    const error = await convertModel(source, newOutput()).catch((thrown: unknown) => thrown);
    expect(MullError.is(error) && error.code).toBe("invalid_model");
    expect((error as MullError).message).toContain("2 bytes are no safetensors file");
  });

  it("can be cancelled, and leaves nothing", async () => {
    const source = await writeLargeModel();
    for (const when of ["at once", "while it writes"]) {
      const output = newOutput();
      const abort = new AbortController();
      const work = convertModel(source, output, {
        signal: abort.signal,
        onProgress: () => when === "while it writes" && abort.abort(new Error("enough")),
      });
      if (when === "at once") setImmediate(() => abort.abort(new Error("enough")));
      await expect(work).rejects.toMatchObject({ code: "aborted", cause: new Error("enough") });
      expect(readdirSync(output)).toEqual([]);
    }
    await expect(convertModel(source, newOutput(), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "aborted",
    });
  });

  it("leaves nothing when its process is killed", async () => {
    const source = await writeLargeModel();
    const output = newOutput();
    let killed = 0;
    const error = await convertModel(source, output, {
      onProgress: () => {
        const name = readdirSync(output).find((file) => file.endsWith(".unfinished"));
        const pid = Number(/\.(\d+)\.unfinished$/.exec(name ?? "")?.[1]);
        if (killed > 0 || Number.isNaN(pid) || pid === process.pid) return;
        killed = pid;
        process.kill(pid, "SIGKILL");
      },
    }).catch((thrown: unknown) => thrown);
    expect(killed).toBeGreaterThan(0);
    expect(MullError.is(error) && error.message).toMatch(/died \(SIGKILL\)/);
    expect(readdirSync(output)).toEqual([]);
  });
});
