import { describe, expect, it } from "vitest";
import type { GenerationOptions } from "../spec/options.ts";
import { checkGenerationOptions } from "./options.ts";

describe("checkGenerationOptions", () => {
  it("passes what is in range and drops what is undefined", () => {
    const options = {
      temperature: 0.7,
      topK: 0,
      topP: 1,
      minP: 0,
      seed: 2 ** 32 - 1,
      stop: ["x"],
      maxTokens: -1,
    };
    expect(checkGenerationOptions({ ...options, repeatLastN: undefined } as never)).toEqual(options);
  });

  const wrong: [string, unknown][] = [
    ["temperature", -1],
    ["temperature", Number.NaN],
    ["temperature", "1e9"],
    ["topK", 1.5],
    ["topK", 2 ** 53],
    ["topP", 0],
    ["minP", 1],
    ["seed", -1],
    ["maxTokens", -2],
    ["repeatLastN", -2],
    ["stop", [""]],
    ["stop", Array.from({ length: 17 }, () => "x")],
    ["stop", 5],
    ["n_discard", 1],
  ];
  it.each(wrong)("refuses %s = %s and names the option", (name, value) => {
    const check = (): GenerationOptions => checkGenerationOptions({ [name]: value });
    expect(check).toThrow(name);
    expect(check).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});
