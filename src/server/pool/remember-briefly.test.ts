import { afterEach, describe, expect, it, vi } from "vitest";
import { rememberBriefly } from "./remember-briefly.ts";

describe("rememberBriefly", () => {
  afterEach(() => vi.useRealTimers());

  it("asks once a second for the same, and at once for another", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    let asked = 0;
    const look = rememberBriefly(
      async (name: string) => `${name} ${++asked}`,
      (name) => name,
    );
    expect([await look("a"), await look("a"), await look("b")]).toEqual(["a 1", "a 1", "b 2"]);
    vi.advanceTimersByTime(1001);
    expect(await look("a")).toBe("a 3");
  });

  it("does not remember what failed", async () => {
    let asked = 0;
    const look = rememberBriefly(
      async () => {
        asked += 1;
        if (asked === 1) throw new Error("not yet");
        return asked;
      },
      () => "",
    );
    await expect(look()).rejects.toThrow("not yet");
    expect(await look()).toBe(2);
  });
});
