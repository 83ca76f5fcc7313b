import { createPublicKey, verify } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { ollamaKey, parseOpenSshKey, signedTokenRequest } from "./ollama-key.ts";

// Written by ssh-keygen for these tests; they open nothing.
const PLAIN = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACBzpzS/NxVSMOGqaM5crPfFt+c8IAkG1Yngzsrot7fTxAAAAIhURg2fVEYN
nwAAAAtzc2gtZWQyNTUxOQAAACBzpzS/NxVSMOGqaM5crPfFt+c8IAkG1Yngzsrot7fTxA
AAAED62jXfB4akWQQDlyFjJ/jZDTs/MpgWb5Jo7xxH9Z6av3OnNL83FVIw4apozlys98W3
5zwgCQbVieDOyui3t9PEAAAABHRlc3QB
-----END OPENSSH PRIVATE KEY-----`;
const PUBLIC = "AAAAC3NzaC1lZDI1NTE5AAAAIHOnNL83FVIw4apozlys98W35zwgCQbVieDOyui3t9PE";
const LOCKED = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBtq86Z97
aBO42jPC8x3saHAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIIyvham6gS/xf9yk
LvZ4QmFXrpu8NcENXULU/xUYYjzEAAAAkNVD03RvKIUgh9xGbgULpncjP+oxaCcqlL4bHl
e8SeL03QnAp5nWvEckPpHgc183oBxHGQ/rIF1EXvJONJDikXJ0NRktf/8Q7R+fUaDdWLSj
MN3RId/YZGojAKgHwau9v/KosdX4PZ6h1hHZLu9M8b/z4TY8oMYMUMUUPKYL05c6iZwArr
v0vGeHDV3GogiWqQ==
-----END OPENSSH PRIVATE KEY-----`;
const RSA = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAlwAAAAdzc2gtcn
NhAAAAAwEAAQAAAIEAsqGmOhQqaD8j4keqyc+iHWkaMPcuAVpTw1JF11SatWai75/dbSMQ
xMDekE2LWb1U6vOVnFqD4yRR7ehzSWDt9uLovuQws1WNukcEeos1OqHM1OiucD9wmi2/YH
lxhajuBKFQ3jEWRbyl/e2MBF3iDaBRVfhfd6Kjk6dG7dvEvnMAAAIAnhP0bZ4T9G0AAAAH
c3NoLXJzYQAAAIEAsqGmOhQqaD8j4keqyc+iHWkaMPcuAVpTw1JF11SatWai75/dbSMQxM
DekE2LWb1U6vOVnFqD4yRR7ehzSWDt9uLovuQws1WNukcEeos1OqHM1OiucD9wmi2/YHlx
hajuBKFQ3jEWRbyl/e2MBF3iDaBRVfhfd6Kjk6dG7dvEvnMAAAADAQABAAAAgCn475z/9g
LuqxjVLB0lS3tLodrViZrJxZrEbyKsf3mWNzzEvHuTXLJOez0+6zpX0Wcvevz1C75IX3Pe
RZB9VQxkQBId2s9zgXWeAgwUjaAroJa4QTn4Od/Xlggki5G4PkoeNzPPT2a9Tnpg63OhU8
qch84l2fHZx9QneQ1Rm/XZAAAAQGfF8F9rmXWtKc2w5wWSFbKkrUt0u7E7IA74ERD4E0os
SG9WbNf1DimZ6oeDftuh619Gl+F0YlQHg/RgipfB48wAAABBANZ4OHhY3mjAuCCflFO+J0
TEu31E9DNqG7wsq6qPwB1PtL1k0fNrSz7IvBuc7XdytSGqcamjjAfDMpWGEpJAj00AAABB
ANU41/tpwZGiP42N8Y+pqx+1QP0GzE1lM8rMcpETtQYXMvjUjpnyXPJQotVxzGSbiNVTLS
lgm24Hbl0okDu/JL8AAAAHcm9vdEB2bQECAwQ=
-----END OPENSSH PRIVATE KEY-----`;

const home = mkdtempSync(join(tmpdir(), "mull-test-key-"));
mkdirSync(join(home, ".ollama"));
afterAll(() => rmSync(home, { recursive: true }));

describe("parseOpenSshKey", () => {
  it("reads what ssh-keygen wrote", () => {
    expect(parseOpenSshKey(`\n${PLAIN}\n`).publicKey).toBe(PUBLIC);
    expect(parseOpenSshKey(PLAIN.replaceAll("\n", "\r\n")).publicKey).toBe(PUBLIC);
  });

  it.each([
    ["one with a passphrase", LOCKED, /passphrase/],
    ["one of another type", RSA, /type ssh-rsa/],
    ["a public key", `ssh-ed25519 ${PUBLIC}`, /not in OpenSSH's format|too early/],
    ["nothing", "", /too early/],
  ])("refuses %s", (_, text, message) => {
    expect(() => parseOpenSshKey(text)).toThrow(message);
  });

  it("ends on any damage: with a reason, or with the key where only the comment or the seed is touched", () => {
    const [, body = ""] = /KEY-----\n([^-]+)-----END/.exec(PLAIN) ?? [];
    const bytes = Buffer.from(body, "base64");
    const outcome = (text: string): string => {
      try {
        return parseOpenSshKey(text).publicKey;
      } catch (error) {
        return (error as Error).message;
      }
    };
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (index, change) => {
        const damaged = Buffer.from(bytes);
        damaged[index] = (damaged[index] as number) ^ change;
        const text = PLAIN.replace(body, `${damaged.toString("base64")}\n`);
        expect([PUBLIC, undefined]).toContain(outcome(text).startsWith("it ") ? undefined : outcome(text));
      }),
    );
  });
});

describe("a signed request", () => {
  const key = parseOpenSshKey(PLAIN);
  const address = new URL(
    "https://registry.ollama.ai/token?service=s&scope=repository%3Ame%2Fx%3Apush%2Cpull",
  );
  const { url, authorization } = signedTokenRequest(address, key, 1_700_000_000_123);

  it("adds the time and a number used once, in order", () => {
    expect([...url.searchParams.keys()]).toEqual(["nonce", "scope", "service", "ts"]);
    expect(url.searchParams.get("ts")).toBe("1700000000");
    expect(Buffer.from(url.searchParams.get("nonce") ?? "", "base64url")).toHaveLength(16);
    expect(signedTokenRequest(address, key, 0).url.searchParams.get("nonce")).not.toBe(
      url.searchParams.get("nonce"),
    );
  });

  it("is signed over method, address and the empty body", () => {
    const [publicKey = "", signature = ""] = authorization.split(":");
    expect(publicKey).toBe(PUBLIC);
    // base64 of the SHA-256 of nothing, in hex
    const empty = "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ==";
    const signed = Buffer.from(`GET,${url.href},${empty}`);
    const x = Buffer.from(PUBLIC, "base64").subarray(-32).toString("base64url");
    const verifier = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    expect(verify(null, signed, verifier, Buffer.from(signature, "base64"))).toBe(true);
  });
});

describe("ollamaKey", () => {
  const env = { HOME: home };
  const path = join(home, ".ollama", "id_ed25519");

  it("is for Ollama's registries and no other", async () => {
    expect(await ollamaKey("https://registry.ollama.ai", env)).toBeUndefined();
    writeFileSync(path, PLAIN);
    expect(await ollamaKey("https://registry.ollama.ai", env)).toMatchObject({ publicKey: PUBLIC });
    for (const origin of [
      "http://registry.ollama.ai",
      "https://registry.ollama.ai:8443",
      "https://registry.ollama.ai.example",
      "https://registry.example",
    ]) {
      expect(await ollamaKey(origin, env)).toBeUndefined();
    }
  });

  it("says so when it cannot be used", async () => {
    writeFileSync(path, LOCKED);
    await expect(ollamaKey("https://ollama.com", env)).rejects.toMatchObject({
      code: "unauthorized",
      message: expect.stringMatching(/it has a passphrase/),
    });
  });
});
