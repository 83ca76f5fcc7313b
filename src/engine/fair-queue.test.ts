import { describe, expect, it } from "vitest";
import { FairQueue } from "./fair-queue.ts";

const item = (client: string, number = 0): { client: string; number: number } => ({ client, number });

describe("FairQueue", () => {
  it("is first come, first served within a client", () => {
    const queue = new FairQueue<ReturnType<typeof item>>();
    for (const number of [1, 2, 3]) queue.push(item("a", number));
    expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()].map((next) => next?.number)).toEqual([
      1,
      2,
      3,
      undefined,
    ]);
  });

  it("lets one client's flood not hold up another's single request", () => {
    const queue = new FairQueue<ReturnType<typeof item>>();
    const flood = Array.from({ length: 100 }, (_, number) => item("flood", number));
    for (const each of flood) queue.push(each);
    queue.charge(queue.shift() as (typeof flood)[0], 600);
    queue.push(item("single"));
    queue.charge(flood[0] as (typeof flood)[0], 600);
    expect(queue.shift()?.client).toBe("single");
  });

  it("shares alike between two that always have something waiting", () => {
    const queue = new FairQueue<ReturnType<typeof item>>();
    const got = { a: 0, b: 0 };
    for (let number = 0; number < 400; number++) queue.push(item(number % 2 === 0 ? "a" : "b", number));
    for (let round = 0; round < 100; round++) {
      const next = queue.shift() as ReturnType<typeof item>;
      const tokens = next.client === "a" ? 900 : 100;
      got[next.client as "a" | "b"] += tokens;
      queue.charge(next, tokens);
    }
    expect(Math.abs(got.a - got.b)).toBeLessThanOrEqual(900);
  });

  it("gives nobody a claim on what was done while they were away", () => {
    const queue = new FairQueue<ReturnType<typeof item>>();
    const worker = item("busy");
    queue.push(worker);
    queue.charge(queue.shift() as typeof worker, 1_000_000);
    queue.push(item("busy", 2));
    queue.push(item("late", 1));
    const first = queue.shift() as ReturnType<typeof item>;
    queue.charge(first, 100);
    // Both are level, so a hundred tokens are all it takes to be second.
    expect(new Set([first.client, queue.shift()?.client])).toEqual(new Set(["busy", "late"]));
  });

  it("forgets clients that have left", () => {
    const queue = new FairQueue<ReturnType<typeof item>>();
    const [a, b] = [item("a"), item("b")];
    queue.push(a);
    queue.push(b);
    queue.charge(a, 500);
    expect(queue.remove(a)).toBe(true);
    expect(queue.remove(a)).toBe(false);
    queue.leave(a);
    queue.push(item("a"));
    expect(queue.length).toBe(2);
    expect(queue.leastServed([b, item("a")])?.client).toBe("b");
  });
});
