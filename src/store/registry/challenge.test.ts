import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseChallenges } from "./challenge.ts";

describe("parseChallenges", () => {
  it.each([
    [
      'Bearer realm="https://r/token",service="r",scope="repository:a/b:pull,push repository:c/d:pull"',
      [
        [
          "bearer",
          { realm: "https://r/token", service: "r", scope: "repository:a/b:pull,push repository:c/d:pull" },
        ],
      ],
    ],
    ['Basic realm="x"', [["basic", { realm: "x" }]]],
    [
      String.raw`Digest realm="a \"quoted\", b", qop=auth, Bearer realm=plain , scope = "s"`,
      [
        ["digest", { realm: 'a "quoted", b', qop: "auth" }],
        ["bearer", { realm: "plain", scope: "s" }],
      ],
    ],
    [
      "Negotiate, Basic",
      [
        ["negotiate", {}],
        ["basic", {}],
      ],
    ],
    ['bearer REALM="a",realm="b"', [["bearer", { realm: "a" }]]],
    ['Bearer __proto__="x"', [["bearer", { ["__proto__"]: "x" }]]],
    ['Bearer realm="unended', [["bearer", {}]]],
    ["", []],
    ["=,=", []],
  ])("%s", (header, expected) => {
    const found = parseChallenges(header).map(({ scheme, parameters }) => [
      scheme,
      Object.entries(parameters),
    ]);
    expect(found).toEqual(
      expected.map(([scheme, parameters]) => [scheme, Object.entries(parameters as object)]),
    );
  });

  it("reads back what is written by the grammar", () => {
    const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(token, fc.dictionary(token, fc.string()))), (challenges) => {
        const header = challenges
          .map(([scheme, parameters]) => {
            const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
            return `${scheme} ${Object.entries(parameters)
              .map(([name, value]) => `${name}=${quote(value)}`)
              .join(", ")}`;
          })
          .join(", ");
        expect(parseChallenges(header).map(({ scheme, parameters }) => [scheme, { ...parameters }])).toEqual(
          challenges.map(([scheme, parameters]) => [scheme, { ...parameters }]),
        );
      }),
    );
  });

  it("ends on anything", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(parseChallenges(text).length).toBeLessThanOrEqual(text.length);
      }),
    );
  });
});
