import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { bytesOf } from "../../../test/support/store-models.ts";
import { temporaryFolder } from "../../../test/support/tiny-models.ts";
import { parseModelfile } from "../modelfile/parse-modelfile.ts";
import { type Recipe, recipeOf } from "./recipe.ts";

const folder = temporaryFolder();

beforeAll(() => {
  for (const name of ["model.gguf", "mmproj.gguf", "lora.gguf"]) writeFileSync(join(folder.path, name), "");
  mkdirSync(join(folder.path, "llava"));
});

const read = (text: string): Recipe =>
  recipeOf(parseModelfile(bytesOf(text), "Modelfile").modelfile, folder.path);
const at = (name: string): { path: string } => ({ path: join(folder.path, name) });

describe("the recipe of a Modelfile", () => {
  it.each(["llava2", "llava:13b", "owner/llava", "hf.co/org/repo:Q4_K_M", "https://example.com/x.gguf"])(
    "begins with the model %s",
    (name) => expect(read(`FROM ${name}`).from).toEqual({ model: name }),
  );

  it("begins with a model by its digest", () => {
    const digest = `sha256:${"a".repeat(64)}`;
    expect(read(`FROM ${digest}`).from).toEqual({ model: digest });
  });

  it.each([
    ["./model.gguf", "model.gguf"],
    ["model.gguf", "model.gguf"],
    ["./llava", "llava"],
    // What lies there goes before a model of that name.
    ["llava", "llava"],
  ])("begins with the file %s, relative to the folder of the Modelfile", (written, name) => {
    expect(read(`FROM ${written}`).from).toEqual({ files: [at(name)] });
  });

  it("begins with several files", () => {
    const { from, projector, adapters } = read("FROM model.gguf\nFROM ./mmproj.gguf\nADAPTER lora.gguf");
    expect(from).toEqual({ files: [at("model.gguf"), at("mmproj.gguf")] });
    expect(projector).toBeUndefined();
    expect(adapters).toEqual([at("lora.gguf")]);
    expect(read("FROM model.gguf\nPROJECTOR mmproj.gguf").projector).toEqual(at("mmproj.gguf"));
  });

  it.each([
    "FROM ./gone.gguf",
    "FROM /gone/x.gguf",
    "FROM model.gguf\nADAPTER gone",
    "FROM llava2\nPROJECTOR gone",
  ])("says which file is missing: %j", (text) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        message: expect.stringContaining("which is not there"),
        hint: expect.stringContaining("relative to the folder of the Modelfile"),
      }),
    );
  });

  it("does not take a name beside a file", () => {
    expect(() => read("FROM model.gguf\nFROM llava2")).toThrow(
      expect.objectContaining({ message: expect.stringContaining("FROM llava2") }),
    );
  });

  it("refuses a model that drafts, and keeps what has no effect to itself", () => {
    expect(() => read("FROM llava2\nDRAFT small")).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        hint: expect.stringContaining("answers are the same"),
      }),
    );
    expect(read("FROM llava2\nREQUIRES 0.14.0\nRENDERER x\nPARSER y")).toEqual({
      from: { model: "llava2" },
      adapters: [],
      parameters: {},
      messages: [],
      licenses: [],
    });
  });

  it("has everything else as it was written", () => {
    const text =
      'FROM llava2\nSYSTEM ""\nTEMPLATE vicuna_v1\nPARAMETER seed 3\nMESSAGE user hi\nLICENSE a\nLICENSE b';
    expect(read(text)).toMatchObject({
      system: "",
      template: "vicuna_v1",
      parameters: { seed: 3 },
      messages: [{ role: "user", content: "hi" }],
      licenses: ["a", "b"],
    });
  });
});
