import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MullError } from "../../spec/errors.ts";
import { createAdmission } from "./create-admission.ts";

function refusalOf(enter: () => unknown): MullError {
  try {
    enter();
  } catch (error) {
    if (MullError.is(error)) return error;
  }
  throw new Error("It was not refused.");
}

describe("admission", () => {
  it("refuses when a model's places and its queue are full, in Ollama's words", () => {
    const admission = createAdmission({ parallel: 2, maxQueue: 1, maxPerClient: 64 });
    const leave = ["a", "b", "c"].map((client) => admission.enter(client, "pico"));
    const refusal = refusalOf(() => admission.enter("d", "Pico:latest"));
    expect(refusal.code).toBe("server_busy");
    expect(refusal.message).toBe("server busy, please try again.  maximum pending requests exceeded");
    expect(refusal.details["retryAfterSeconds"]).toBeGreaterThan(0);
    admission.enter("d", "other")();
    leave[0]!();
    expect(() => admission.enter("d", "pico")).not.toThrow();
  });

  it("refuses what is too much for one client, over all models", () => {
    const admission = createAdmission({ parallel: "auto", maxQueue: 512, maxPerClient: 2 });
    admission.enter("a", "pico");
    const leave = admission.enter("a", "other");
    expect(refusalOf(() => admission.enter("a", "third")).code).toBe("rate_limited");
    expect(() => admission.enter("b", "pico")).not.toThrow();
    leave();
    expect(() => admission.enter("a", "third")).not.toThrow();
  });

  it("says to come back after about as long as requests took lately", () => {
    let time = 0;
    const admission = createAdmission({ parallel: 1, maxQueue: 1, maxPerClient: 9 }, () => time);
    for (let request = 0; request < 20; request++) {
      const leave = admission.enter("a", "pico");
      time += 30_000;
      leave();
    }
    admission.enter("a", "pico");
    admission.enter("a", "pico");
    expect(refusalOf(() => admission.enter("a", "pico")).details["retryAfterSeconds"]).toBe(15);
  });

  it("counts exactly, whoever comes and goes, and however often a place is given back", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b"), fc.boolean())), (steps) => {
        const admission = createAdmission({ parallel: 1, maxQueue: 3, maxPerClient: 3 });
        const inside: (() => void)[] = [];
        for (const [client, leaves] of steps) {
          if (leaves) {
            const leave = inside.shift();
            leave?.();
            leave?.();
          } else {
            try {
              inside.push(admission.enter(client, "pico"));
            } catch {
              // Full.
            }
          }
          expect(admission.pending.get("pico:latest") ?? 0).toBe(inside.length);
          expect(inside.length).toBeLessThanOrEqual(4);
        }
        for (const leave of inside) leave();
        expect(admission.pending.size).toBe(0);
      }),
    );
  });
});
