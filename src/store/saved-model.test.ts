import * as fc from "fast-check";
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MullError } from "../spec/errors.ts";
import { parseSavedModel } from "./parse-saved-model.ts";
import {
  listSavedModels,
  readSavedModel,
  type SavedModel,
  savedModelsDirectory,
  saveModel,
} from "./saved-model.ts";

const env = { XDG_DATA_HOME: mkdtempSync(join(tmpdir(), "mull-saved-")) };

const SAVED: SavedModel = {
  load: { model: "/models/llava.gguf", projector: "/models/mmproj.gguf", contextLength: 2048 },
  system: "Be brief.",
  generation: { temperature: 0.5, stop: ["\n"] },
  messages: [
    {
      role: "user",
      content: [
        { type: "image", image: "/x.png", name: "x.png" },
        { type: "text", text: "What?" },
      ],
    },
    { role: "assistant", content: "A cat." },
  ],
};

describe("saved models", () => {
  it("come back as they were saved", async () => {
    await saveModel("my-llava:v2", SAVED, env);
    await saveModel("other", { ...SAVED, messages: [] }, env);
    expect(await readSavedModel("my-llava:v2", env)).toEqual(SAVED);
    expect(await listSavedModels(env)).toEqual(["my-llava:v2", "other"]);
    expect(readdirSync(savedModelsDirectory(env)).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });

  it("are replaced as a whole", async () => {
    await saveModel("twice", SAVED, env);
    await saveModel("twice", { ...SAVED, messages: [] }, env);
    expect((await readSavedModel("twice", env))?.messages).toEqual([]);
  });

  it("are undefined when there is none", async () => {
    expect(await readSavedModel("nothing", env)).toBeUndefined();
    expect(await listSavedModels({ XDG_DATA_HOME: "/nonexistent" })).toEqual([]);
  });

  it.each(["../evil", "a/b", "", ".hidden", "a b", "a:b:c", "nul\0"])("refuse the name %j", async (name) => {
    await expect(saveModel(name, SAVED, env)).rejects.toMatchObject({ code: "invalid_argument" });
    expect(await readSavedModel(name, env)).toBeUndefined();
  });

  it("say so when they cannot be written", async () => {
    const file = join(env.XDG_DATA_HOME, "file");
    writeFileSync(file, "");
    await expect(saveModel("x", SAVED, { XDG_DATA_HOME: file })).rejects.toThrow(/could not be written/);
  });
});

describe("parseSavedModel", () => {
  const valid = { version: 1, ...SAVED };

  it.each([
    ["not JSON", "{", /not JSON/],
    ["a list", "[]", /not an object/],
    ["another version", JSON.stringify({ ...valid, version: 2 }), /version/],
    ["no model", JSON.stringify({ ...valid, load: {} }), /load\.model/],
    ["an unknown option", JSON.stringify({ ...valid, load: { model: "pico", exec: "rm" } }), /'exec'/],
    ["an inherited name", JSON.stringify({ ...valid, generation: { toString: 1 } }), /'toString'/],
    ["a text as a number", JSON.stringify({ ...valid, generation: { topK: "5" } }), /'topK'/],
    ["a number as the system message", JSON.stringify({ ...valid, system: 5 }), /'system'/],
    [
      "an unknown role",
      JSON.stringify({ ...valid, messages: [{ role: "root", content: "x" }] }),
      /'messages'/,
    ],
    [
      "an unknown part",
      JSON.stringify({ ...valid, messages: [{ role: "user", content: [{}] }] }),
      /'messages'/,
    ],
  ])("refuses %s", (_, text, message) => {
    expect(() => parseSavedModel(text, "x.json")).toThrow(message);
  });

  it("refuses any other JSON", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(() => parseSavedModel(text, "x.json")).toThrow(MullError);
      }),
    );
  });
});
