import { describe, expect, it } from "vitest";
import { checkTools } from "./check-tools.ts";

const tool = { name: "weather", description: "Tells it.", parameters: { type: "object", properties: {} } };

describe("checkTools", () => {
  it("takes what is right, and nothing for none", () => {
    expect(checkTools(undefined, undefined)).toEqual({ tools: [], toolChoice: "auto" });
    expect(checkTools([tool], "required")).toEqual({ tools: [tool], toolChoice: "required" });
    expect(checkTools([tool], { name: "weather" }).toolChoice).toEqual({ name: "weather" });
    expect(checkTools([{ name: "a" }], "none").tools).toEqual([{ name: "a" }]);
  });

  const circular: Record<string, unknown> = { type: "object" };
  circular["properties"] = circular;
  it.each<[string, unknown, unknown]>([
    ["tools", {}, undefined],
    ["tools[0]", ["weather"], undefined],
    ["tools[0].name", [{ name: "" }], undefined],
    ["tools[0].name", [{ name: "a b" }], undefined],
    ["tools[0].name", [{ name: "a\n" }], undefined],
    ["tools[0].name", [{ name: "a".repeat(65) }], undefined],
    ["tools[1].name", [tool, tool], undefined],
    ["tools[0].description", [{ name: "a", description: 5 }], undefined],
    ["tools[0].parameters", [{ name: "a", parameters: [] }], undefined],
    ["tools[0].parameters", [{ name: "a", parameters: false }], undefined],
    ["tools[0].parameters.type", [{ name: "a", parameters: { type: "string" } }], undefined],
    ["tools", Array.from({ length: 129 }, (_, index) => ({ name: `t${index}` })), undefined],
    ["tools", [{ name: "a", description: "x".repeat(256 * 1024) }], undefined],
    ["tools", [{ name: "a", parameters: circular }], undefined],
    ["toolChoice", undefined, "required"],
    ["toolChoice", [tool], "weather"],
    ["toolChoice", [tool], { name: "other" }],
    ["toolChoice", [tool], 5],
  ])("refuses a wrong %s", (place, tools, choice) => {
    expect(() => checkTools(tools, choice)).toThrow(
      expect.objectContaining({ code: "invalid_argument", message: expect.stringContaining(`${place} `) }),
    );
  });
});
