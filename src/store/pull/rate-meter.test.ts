import { describe, expect, it } from "vitest";
import { RateMeter } from "./rate-meter.ts";

function meterWith(): { meter: RateMeter; run: (ms: number, rate: number) => void } {
  let now = 1000;
  let completed = 0;
  const meter = new RateMeter(() => now);
  meter.update(0);
  return {
    meter,
    /** @param rate bytes per second */
    run(ms, rate) {
      for (let step = 0; step < ms; step += 100) {
        now += 100;
        completed += rate / 10;
        if (rate > 0) meter.update(completed);
      }
    },
  };
}

describe("RateMeter", () => {
  it("knows a steady rate after half a second, and the time that is left", () => {
    const { meter, run } = meterWith();
    expect(meter.bytesPerSecond()).toBeUndefined();
    expect(meter.secondsLeft(100)).toBeUndefined();
    run(600, 1e6);
    expect(meter.bytesPerSecond()).toBeCloseTo(1e6, 3);
    expect(meter.secondsLeft(600_000 + 5e6)).toBeCloseTo(5, 3);
    expect(meter.secondsLeft(1)).toBe(0);
  });

  it("follows changes, and does not jump", () => {
    const { meter, run } = meterWith();
    run(20_000, 1e6);
    run(1000, 4e6);
    expect(meter.bytesPerSecond()).toBeGreaterThan(1.2e6);
    expect(meter.bytesPerSecond()).toBeLessThan(2e6);
    run(30_000, 4e6);
    expect(meter.bytesPerSecond()).toBeGreaterThan(3.9e6);
  });

  it("sinks when nothing comes, and then says nothing of the end", () => {
    const { meter, run } = meterWith();
    run(5000, 1e6);
    run(5000, 0);
    expect(meter.bytesPerSecond()).toBeLessThan(0.6e6);
    run(120_000, 0);
    expect(meter.secondsLeft(1e9)).toBeUndefined();
  });

  it("does not count what was there before", () => {
    let now = 0;
    const meter = new RateMeter(() => now);
    meter.update(30e9);
    now = 1000;
    meter.update(30e9 + 1e6);
    expect(meter.bytesPerSecond()).toBeCloseTo(1e6, 3);
  });

  it("begins anew when a download does", () => {
    let now = 0;
    const meter = new RateMeter(() => now);
    meter.update(5e6);
    now = 1000;
    meter.update(0);
    expect(meter.bytesPerSecond()).toBeUndefined();
    now = 2000;
    meter.update(2e6);
    expect(meter.bytesPerSecond()).toBeCloseTo(2e6, 3);
  });
});
