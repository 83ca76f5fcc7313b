import { expect, it } from "vitest";
import { jsonLogger } from "./json-logger.ts";
import { type LogLevel, LOG_LEVELS } from "./leveled-logger.ts";
import { textLogger } from "./text-logger.ts";

const HOSTILE = 'a\n2026 info forged\u001b[31m\u009b\u2028\u202e\u0000"=';

function lines(
  create: typeof textLogger,
  level: LogLevel = "debug",
): { log: ReturnType<typeof textLogger>; written: string[] } {
  const written: string[] = [];
  return { log: create(level, (line) => written.push(line)), written };
}

it("text: words as they are, the rest quoted", () => {
  const { log, written } = lines(textLogger);
  log.info("request", { method: "POST", ms: 1.5, model: "two words", nothing: undefined, list: [1] });
  expect(written[0]).toMatch(
    /^\d{4}-\d\d-\d\dT[\d:.]+Z info request method=POST ms=1\.5 model="two words" nothing=undefined list=\[1\]\n$/,
  );
});

it("JSON: one object per line, in which fields cannot pose as level or message", () => {
  const { log, written } = lines(jsonLogger);
  log.warn("request", { status: 200, level: "info", message: "forged" });
  expect(JSON.parse(written[0]!)).toMatchObject({ level: "warn", message: "request", status: 200 });
});

it.each([
  ["text", textLogger],
  ["JSON", jsonLogger],
])("%s: nothing that a terminal obeys, and one line per message", (_, create) => {
  const { log, written } = lines(create);
  log.error(HOSTILE, { name: HOSTILE });
  expect(written).toHaveLength(1);
  // oxlint-disable-next-line no-control-regex -- these are what must not be there
  expect(written[0]!.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
});

it("JSON keeps hostile values readable as what they were", () => {
  const { log, written } = lines(jsonLogger);
  log.error("x", { name: HOSTILE });
  expect((JSON.parse(written[0]!) as { name: string }).name).toBe(HOSTILE);
});

it("writes from its level on", () => {
  const counts = LOG_LEVELS.map((level) => {
    const { log, written } = lines(textLogger, level);
    for (const at of ["debug", "info", "warn", "error"] as const) log[at]("x");
    return written.length;
  });
  expect(counts).toEqual([4, 3, 2, 1, 0]);
});
