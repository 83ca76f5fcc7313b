import { describe, expect, it } from "vitest";
import { MullError } from "../../spec/errors.ts";
import { BackOff, isWorthRepeating } from "./back-off.ts";
import { connectionError } from "./server-errors.ts";

const unreachable = (details: Record<string, unknown> = {}): MullError =>
  new MullError("server_unreachable", "No answer.", { details });

describe("BackOff", () => {
  it("waits twice as long each time, and gives up", () => {
    const backOff = new BackOff(4, () => 0.5);
    const error = unreachable();
    expect([1, 2, 3].map(() => backOff.delayAfter(error))).toEqual([1000, 2000, 4000]);
    expect(() => backOff.delayAfter(error)).toThrow(error);
  });

  it("begins anew when something came", () => {
    const backOff = new BackOff(2, () => 0.5);
    for (let round = 0; round < 10; round++) {
      expect(backOff.delayAfter(unreachable())).toBe(1000);
      backOff.progress();
    }
  });

  it("waits as long as it is asked to, unless that is for too long", () => {
    const backOff = new BackOff(6, () => 0.5);
    expect(backOff.delayAfter(unreachable({ retryAfterSeconds: 30 }))).toBe(30_000);
    expect(backOff.delayAfter(unreachable({ retryAfterSeconds: 0 }))).toBe(2000);
    expect(() => backOff.delayAfter(unreachable({ retryAfterSeconds: 3600 }))).toThrow(/No answer/);
  });

  it("asks a server once more that answered something else", () => {
    for (const lie of [new MullError("digest_mismatch", "Other."), unreachable({ reason: "protocol" })]) {
      const backOff = new BackOff(6);
      backOff.delayAfter(lie);
      expect(() => backOff.delayAfter(lie)).toThrow(lie);
    }
  });

  it("knows what time does not change", () => {
    expect(isWorthRepeating(unreachable({ reason: "certificate" }))).toBe(false);
    expect(isWorthRepeating(new MullError("unauthorized", "No."))).toBe(false);
    expect(isWorthRepeating(new MullError("aborted", "Left."))).toBe(false);
    expect(isWorthRepeating(new MullError("rate_limited", "Slow down."))).toBe(true);
  });

  it("takes an error that is none of ours for one of the network", () => {
    const error = connectionError(new Error("ECONNRESET"), "sha256:ab", "registry.test");
    expect(error.message).toBe("sha256:ab from registry.test: the connection broke: ECONNRESET.");
    expect(isWorthRepeating(error)).toBe(true);
  });
});
