import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { freeAddress, loopbackServer } from "../../../test/support/loopback-server.ts";
import { SELF_SIGNED } from "../../../test/support/self-signed.ts";
import { createHttpClient } from "../http/create-http-client.ts";
import { parseReference } from "../reference.ts";
import { openRepository, type RegistryReference, type Repository } from "./registry.ts";

const client = createHttpClient({ env: {} });
const closing: (() => Promise<unknown>)[] = [async () => client.close()];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const open = async (text: string, insecure = false): Promise<Repository> =>
  await openRepository(parseReference(text) as RegistryReference, { client, env: {}, insecure });

describe("openRepository", () => {
  it("speaks TLS to hosts elsewhere, unless http was asked for", async () => {
    expect(await open("registry.example:5000/me/x:y")).toMatchObject({
      origin: "https://registry.example:5000",
      path: "me/x",
      allowPlainHttp: false,
    });
    expect((await open("llava")).url("manifests/latest").href).toBe(
      "https://registry.ollama.ai/v2/library/llava/manifests/latest",
    );
    expect(await open("http://registry.example/me/x")).toMatchObject({ origin: "http://registry.example" });
    expect(await open("registry.example/me/x", true)).toMatchObject({
      origin: "http://registry.example",
      allowPlainHttp: true,
    });
  });

  it("finds out what a registry on this machine speaks", async () => {
    const plain = await loopbackServer({});
    closing.push(async () => plain[Symbol.asyncDispose]());
    expect((await open(`${plain.host}/me/x`)).origin).toBe(plain.url);
    expect(plain.requests).toEqual([]);
    await expect(open(`${await freeAddress()}/me/x`)).rejects.toMatchObject({
      details: { reason: "refused" },
    });
  });

  it("does not take a certificate that nobody trusts for a reason to go without one", async () => {
    const tls = createServer(SELF_SIGNED);
    await new Promise<void>((resolve) => void tls.listen(0, "127.0.0.1", resolve));
    closing.push(async () => tls.close());
    const host = `127.0.0.1:${(tls.address() as AddressInfo).port}`;
    await expect(open(`${host}/me/x`)).rejects.toMatchObject({ details: { reason: "certificate" } });
  });

  it("refuses hosts that are none", async () => {
    await expect(open("registry:99999/me/x")).rejects.toMatchObject({ code: "invalid_argument" });
  });
});
