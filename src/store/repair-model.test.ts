import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newStoreHome, type StoreHome } from "../../test/support/store-home.ts";
import { startRangeServer, type RangeServer } from "../../test/support/range-server.ts";
import { findProblems, nameOf, textDigest, writeModel } from "../../test/support/store-models.ts";
import { temporaryFolder, tinyPair } from "../../test/support/tiny-models.ts";
import type { Digest } from "./digest.ts";
import { layersOf } from "./manifest.ts";
import type { StoredModel } from "./model-store.ts";
import { pullReference } from "./pull-reference.ts";
import { repairModel } from "./repair-model.ts";

/** Registries are asked over the e2e tests' docker-registry; here are models from an address. */
const folder = temporaryFolder();
let home: StoreHome;
let bytes: Buffer;

beforeAll(async () => {
  bytes = readFileSync((await tinyPair(folder.path)).model);
});
beforeEach(() => {
  home = newStoreHome(folder.path);
});

async function pulled(server: RangeServer): Promise<StoredModel> {
  return pullReference(`${server.url}/x.gguf`, home.store, { env: home.env });
}

const repair = ({ name }: StoredModel): Promise<void> => repairModel(home.store, name, { env: home.env });
const loseBlob = (digest: Digest): void => rmSync(home.store.paths.blob(digest));

describe("a model from an address", () => {
  it("is fetched again from there, and made whole with its config", async () => {
    await using server = await startRangeServer({ "/x.gguf": bytes });
    const model = await pulled(server);
    for (const { digest } of [...model.manifest.layers, model.manifest.config]) loseBlob(digest);
    await repair(model);
    expect(await findProblems(home.store)).toEqual([]);
    expect(await home.store.find(model.name)).toMatchObject({ digest: model.digest });
  });

  it("of which nothing is lacking costs no request", async () => {
    await using server = await startRangeServer({ "/x.gguf": bytes });
    const model = await pulled(server);
    const { requests } = server;
    await repair(model);
    expect(server.requests).toBe(requests);
  });

  it("is not taken for another that is there now", async () => {
    await using server = await startRangeServer({ "/x.gguf": bytes });
    const model = await pulled(server);
    const other = Buffer.from(bytes);
    other[other.length - 1]! ^= 1;
    server.blobs.set("/x.gguf", other);
    const [weights] = layersOf(model.manifest, "model");
    loseBlob(weights!.digest);
    await expect(repair(model)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/its model [0-9a-f]{12} is not to be had where its name says/),
    });
    expect(await home.store.find(model.name)).toMatchObject({ digest: model.digest });
  });

  it("that is named by another model is found by the address at its layer", async () => {
    await using server = await startRangeServer({ "/x.gguf": bytes });
    const { name, manifest } = await pulled(server);
    const copy = await home.store.copy(name, nameOf("127.0.0.1:1/made/here"));
    await home.store.remove(name);
    loseBlob(layersOf(manifest, "model")[0]!.digest);
    await repair(copy);
    expect(await findProblems(home.store)).toEqual([]);
  });
});

describe("a model that nobody has", () => {
  it("says why it could not be asked for, and stays", async () => {
    await writeModel(home.store, "127.0.0.1:1/made/here", ["aaa"]);
    loseBlob(textDigest("aaa"));
    const stored = (await home.store.find(nameOf("127.0.0.1:1/made/here")))!;
    await expect(repair(stored)).rejects.toMatchObject({ code: "server_unreachable" });
    expect(await home.store.find(stored.name)).toEqual(stored);
    writeFileSync(home.store.paths.manifest(stored.name), "");
    await expect(repair(stored)).rejects.toMatchObject({ code: "server_unreachable" });
  });
});
