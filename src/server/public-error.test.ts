import { describe, expect, it } from "vitest";
import { fakeContext } from "../../test/support/fake-server.ts";
import { MullError } from "../spec/errors.ts";
import { publicError, retryAfterSeconds } from "./public-error.ts";

const server = fakeContext({ options: { models: { bak: { model: "/srv/My Models/bak.gguf" } } } });

function shown(message: string): string {
  return publicError(new MullError("invalid_model", message), server, { requestId: "r1" }).message;
}

describe("what a client may read", () => {
  it.each([
    ["/home/alice/models/pico.gguf is damaged.", "model pico:latest is damaged."],
    ["/srv/My Models/bak.gguf is damaged.", "model bak is damaged."],
    ['Cannot open "/home/Jane Doe/x.gguf": no.', 'Cannot open "a file": no.'],
    ["Cannot open /opt/x/y.gguf.", "Cannot open a file."],
    ["Cannot open ~/models/y.gguf, sorry.", "Cannot open a file, sorry."],
    ["Cannot open /y.gguf (ENOENT).", "Cannot open a file (ENOENT)."],
    [String.raw`Cannot open C:\Users\alice\x.gguf.`, "Cannot open a file."],
    ["See file:///etc/passwd now", "See a file now"],
    ["/usr/lib/node_modules/ is gone", "a file is gone"],
  ])("%s", (message, expected) => {
    expect(shown(message)).toBe(expected);
  });

  it.each([
    "POST /api/media takes and/or 1/2 of it, as image/png or </s>.",
    "GET /v1/models lists them; hf.co/org/model is not one.",
    "The prompt has 12/34 tokens: messages[0].content",
    "Type /set or /bye.",
  ])("leaves alone: %s", (message) => {
    expect(shown(message)).toBe(message);
  });

  it("names the model of the request in place of its file", () => {
    const error = new MullError(
      "invalid_model",
      "Cannot read /opt/x/pico.gguf: '/opt/a b/c.GGUF' is bad. See /opt/x.txt.",
    );
    expect(publicError(error, server, { requestId: "r1", model: "tiny" }).message).toBe(
      "Cannot read model tiny: 'model tiny' is bad. See a file.",
    );
  });

  it("drops details but those that clients need, and hints that only the server's owner can follow", () => {
    const details = { param: "messages[0]", retryAfterSeconds: 3, lastLog: "secret" };
    const error = publicError(
      new MullError("server_busy", "Full.", { hint: "Use --max-queue 9.", details }),
      server,
      { requestId: "r" },
    );
    expect(error.toJSON()).toEqual({
      code: "server_busy",
      message: "Full.",
      details: { param: "messages[0]", retryAfterSeconds: 3 },
    });
    const kept = publicError(
      new MullError("invalid_media", "Bad.", { hint: "Save /a/b.png again." }),
      server,
      { requestId: "r" },
    );
    expect(kept.hint).toBe("Save a file again.");
  });

  it("gives Retry-After where it makes sense", () => {
    const details = { retryAfterSeconds: 0.2 };
    expect(retryAfterSeconds(new MullError("server_busy", "", { details }))).toBe(1);
    expect(retryAfterSeconds(new MullError("invalid_argument", "", { details }))).toBeUndefined();
    expect(retryAfterSeconds(new MullError("rate_limited", ""))).toBeUndefined();
  });
});
