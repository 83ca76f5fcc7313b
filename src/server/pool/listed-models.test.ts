import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chat, create, names, storeServer, tinyFiles } from "../../../test/support/store-server.ts";
import { put, putOllamaModel } from "../../../test/support/tiny-store.ts";
import { temporaryFolder } from "../../../test/support/tiny-models.ts";
import { digestOf } from "../../store/digest.ts";
import { blobsOf, encodeManifest, layer, type Manifest } from "../../store/manifest.ts";
import { requireModelName } from "../../store/require-model-name.ts";

const folder = temporaryFolder();

describe("lists", () => {
  it("leave out damaged models, and say so once", async () => {
    const server = await storeServer();
    await create(server, "whole", await tinyFiles(folder.path, 1));
    await create(server, "cut", { model: (await tinyFiles(folder.path, 11)).model });
    await create(server, "lost", { model: (await tinyFiles(folder.path, 12)).model });
    await create(server, "mangled", { model: (await tinyFiles(folder.path, 13)).model });
    const blobOf = async (name: string): Promise<string> => {
      const stored = await server.store.find(requireModelName(name));
      return server.store.paths.blob(blobsOf(stored!.manifest)[1]!.digest);
    };
    truncateSync(await blobOf("cut"), 1000);
    rmSync(await blobOf("lost"));
    writeFileSync(server.store.paths.manifest(requireModelName("mangled")), "{");
    for (let round = 0; round < 2; round++) {
      expect(await names(server)).toEqual(["whole:latest", "pico:latest"]);
      const { body } = await server.ask("GET", "/v1/models");
      expect((body["data"] as { id: string }[]).map(({ id }) => id)).toEqual(["whole:latest", "pico:latest"]);
    }
    const warnings = server.context.lines.filter(({ message }) => message === "a model cannot be used");
    expect(warnings.map(({ fields }) => String(fields["model"])).toSorted()).toEqual([
      "cut:latest",
      "lost:latest",
      "mangled:latest",
    ]);
    for (const name of ["cut", "lost", "mangled"]) {
      const answer = await chat(server, name);
      expect([name, answer.status]).toEqual([name, 422]);
      expect(answer.text).not.toContain(server.home);
    }
  });

  it("hash nothing; who uses a model has it checked", async () => {
    const server = await storeServer();
    const { model } = await tinyFiles(folder.path);
    const changed = Buffer.from(model);
    changed[changed.length - 1]! ^= 1;
    const root = join(server.home, "models");
    putOllamaModel(root, { model: "copied" }, [{ kind: "model", content: model }]);
    // What no pull of ours has vouched for, and is not what its name says.
    putOllamaModel(root, { model: "flipped" }, [{ kind: "model", content: changed }]);
    writeFileSync(server.store.paths.blob(digestOf(changed)), model);
    expect(await names(server)).toEqual(expect.arrayContaining(["copied:latest", "flipped:latest"]));
    expect((await chat(server, "copied")).status).toBe(200);
    expect((await chat(server, "flipped")).status).toBe(422);
    expect(await names(server)).not.toContain("flipped:latest");
  });

  it("have all of many models", async () => {
    const server = await storeServer();
    const { model } = await tinyFiles(folder.path);
    const root = join(server.home, "models");
    const { manifestPath } = putOllamaModel(root, { model: "m" }, [
      { kind: "model", content: model },
      { kind: "license", content: "MIT" },
    ]);
    const manifest = JSON.parse(readFileSync(manifestPath, "utf8")) as Manifest;
    for (let index = 1; index < 500; index++) {
      const { digest, size } = await server.store.writeBlob(Buffer.from(`You are number ${index}.`));
      const layers = [...manifest.layers, layer("system", digest, size)];
      const folder = join(root, "manifests", "registry.ollama.ai", `n${index % 7}`, `m${index}`);
      put(join(folder, "latest"), encodeManifest({ ...manifest, layers }));
    }
    expect(await names(server)).toHaveLength(501);
  });
});
