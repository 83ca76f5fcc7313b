import { copyFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder, tinyPair } from "../../../test/support/tiny-models.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { openStore } from "../../store/open-store.ts";
import { saveModel } from "../../store/saved-model.ts";
import type { Logger } from "../logger.ts";
import { createCatalog } from "./catalog.ts";
import { factsOf } from "./facts-of.ts";

const folder = temporaryFolder();

function quietLog(): Logger & { warnings: unknown[] } {
  const warnings: unknown[] = [];
  const ignore = (): void => {};
  return { warnings, debug: ignore, info: ignore, warn: (_, fields) => warnings.push(fields), error: ignore };
}

function catalogOf(
  models: Record<string, LoadOptions>,
  { home = "/nonexistent", log = quietLog() }: { home?: string; log?: Logger } = {},
): ReturnType<typeof createCatalog> {
  const env = { XDG_DATA_HOME: home };
  return createCatalog({ models, env, store: openStore({ env }), log });
}

describe("catalog", () => {
  it("has pico, whose facts are known without loading it", async () => {
    const [pico] = await catalogOf({}).list();
    expect(pico).toMatchObject({ name: "pico:latest", load: { model: "pico" } });
    expect(pico?.digest).toMatch(/^[0-9a-f]{64}$/);
    const facts = await factsOf({ model: "pico" });
    expect(pico?.bytes).toBe(facts.bytes);
    expect(facts).toMatchObject({
      architecture: "llama",
      families: ["llama", "clip"],
      capabilities: ["completion", "vision"],
    });
    expect(facts.parameters).toBeGreaterThan(1e6);
    expect(facts.paths).toHaveLength(2);
  });

  it("finds a name in any case, with and without its tag", async () => {
    const { model } = await tinyPair(folder.path);
    const catalog = catalogOf({ "Me/Tiny": { model } });
    for (const name of ["Me/Tiny", "me/tiny:latest", "ME/TINY:LATEST"]) {
      expect((await catalog.find(name)).name).toBe("Me/Tiny:latest");
    }
    await expect(catalog.find("me/tiny:7b")).rejects.toMatchObject({ code: "model_not_found" });
  });

  it("takes no path for a name, even of a file that is there", async () => {
    const { model } = await tinyPair(folder.path);
    const catalog = catalogOf({ tiny: { model } });
    await expect(catalog.find(model)).rejects.toMatchObject({ code: "model_not_found" });
    await expect(catalog.find("../pico")).rejects.toMatchObject({ code: "model_not_found" });
  });

  it("names what was nearly asked for", async () => {
    await expect(catalogOf({}).find("piko")).rejects.toMatchObject({
      message: 'There is no model called "piko".',
      hint: "Did you mean pico:latest?",
    });
  });

  it("lists saved models with what they carry along, and those it was given before others of the name", async () => {
    const { model, projector } = await tinyPair(folder.path);
    const home = join(folder.path, "home");
    const saved = { load: { model }, system: "Be brief.", generation: { topK: 3 }, messages: [] };
    await saveModel("brief:v2", saved, { XDG_DATA_HOME: home });
    await saveModel("pico", saved, { XDG_DATA_HOME: home });
    await saveModel("own", saved, { XDG_DATA_HOME: home });
    const catalog = catalogOf({ OWN: { model, projector } }, { home });
    const names = (await catalog.list()).map((entry) => entry.name);
    expect(names.toSorted()).toEqual(["OWN:latest", "brief:v2", "pico:latest"]);
    expect(await catalog.find("brief:v2")).toMatchObject({
      load: { model },
      system: "Be brief.",
      generation: { topK: 3 },
    });
    expect((await catalog.find("pico")).load).toEqual({ model: "pico" });
    expect((await catalog.find("own")).load).toEqual({ model, projector });
  });

  it("leaves damaged and missing models out of the list, and says so once", async () => {
    const { model, projector } = await tinyPair(folder.path);
    const cut = join(folder.path, "cut.gguf");
    copyFileSync(model, cut);
    truncateSync(cut, 5000);
    const home = join(folder.path, "broken-home");
    await saveModel("broken", { load: { model }, generation: {}, messages: [] }, { XDG_DATA_HOME: home });
    writeFileSync(join(home, "mull", "saved", "broken.json"), "{");
    const log = quietLog();
    const catalog = catalogOf(
      {
        good: { model, projector },
        cut: { model: cut },
        gone: { model: "/none.gguf" },
        swapped: { model: projector },
      },
      { home, log },
    );
    for (let round = 0; round < 2; round++) {
      const names = (await catalog.list()).map((entry) => entry.name);
      expect(names.toSorted()).toEqual(["good:latest", "pico:latest"]);
    }
    expect(log.warnings).toHaveLength(4);
    await expect(catalog.find("cut")).rejects.toMatchObject({ code: "invalid_model" });
    await expect(catalog.find("gone")).rejects.toMatchObject({ code: "model_not_found" });
    await expect(catalog.find("broken")).rejects.toMatchObject({ code: "invalid_model" });
  });

  it("refuses a model whose name cannot be one", () => {
    expect(() => catalogOf({ "../evil": {} })).toThrow(/cannot be the name/);
  });
});

describe("factsOf", () => {
  it("gives a new digest when a file has changed, and the same when none has", async () => {
    const { model } = await tinyPair(folder.path, { text: { seed: 7 } });
    const before = await factsOf({ model });
    expect(await factsOf({ model })).toBe(before);
    utimesSync(model, new Date(), new Date(Date.now() + 5000));
    const after = await factsOf({ model });
    expect(after.digest).not.toBe(before.digest);
    expect(after.modifiedAt.getTime()).toBeGreaterThan(before.modifiedAt.getTime());
  });

  it("reads one header for requests at the same time", async () => {
    const { model } = await tinyPair(folder.path, { text: { seed: 8 } });
    const [first, second] = await Promise.all([factsOf({ model }), factsOf({ model })]);
    expect(second).toBe(first);
  });

  it("counts what a token takes in the KV cache", async () => {
    const { model } = await tinyPair(folder.path, {
      text: { blocks: 3, embedding: 64, heads: 4, keyValueHeads: 2 },
    });
    // 3 blocks, 2 heads of 16 numbers each for keys and values, two bytes each
    expect((await factsOf({ model })).cacheBytesPerToken).toBe(3 * 2 * 16 * 2 * 2);
  });

  it("sees by the template what a model can do", async () => {
    const chatTemplate =
      "{% if tools %}{{ tools }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}<think></think>";
    const { model } = await tinyPair(folder.path, { text: { chatTemplate } });
    expect(await factsOf({ model })).toMatchObject({
      capabilities: ["completion", "tools", "thinking"],
      template: chatTemplate,
      families: ["llama"],
    });
  });
});
