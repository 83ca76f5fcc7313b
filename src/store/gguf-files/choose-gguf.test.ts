import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chooseGguf } from "./choose-gguf.ts";
import { chooseProjector } from "./choose-projector.ts";
import { groupGgufs, missingParts } from "./gguf-group.ts";
import { isQuantization, quantizationOfPath } from "./quantization.ts";

const QUANTIZATIONS = (
  "Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_0 Q4_1 Q4_K Q4_K_S Q4_K_M Q4_K_XL Q5_0 Q5_K_M Q6_K Q8_0 " +
  "IQ1_S IQ2_XXS IQ3_M IQ4_NL IQ4_XS F16 BF16 F32 TQ1_0 MXFP4_MOE"
).split(" ");

const choose = (paths: readonly string[], wanted?: string): string | undefined =>
  chooseGguf(groupGgufs(paths), wanted, "hf.co/org/repo").parts[0];

describe("quantizationOfPath", () => {
  it.each([
    ["llava-v1.6-mistral-7b.Q4_K_M.gguf", "Q4_K_M"],
    ["llava_7b_Q4_K_M.gguf", "Q4_K_M"],
    ["ggml-model-q4_k.gguf", "Q4_K"],
    ["gemma-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"],
    ["model-fp16.gguf", "F16"],
    ["mmproj-model-BF16.gguf", "BF16"],
    ["Qwen-IQ4_XS-00001-of-00003.gguf", "IQ4_XS"],
    ["UD-Q2_K_XL/model-00001-of-00002.gguf", "UD-Q2_K_XL"],
    ["gpt-oss-MXFP4.gguf", "MXFP4"],
    ["Q8_0/llava-Q4_0.gguf", "Q4_0"],
    ["llava-Q4_K_MX.gguf", undefined],
    ["llava-xQ4_0.gguf", undefined],
    ["llava.gguf", undefined],
  ])("%s is %s", (path, label) => {
    expect(quantizationOfPath(path)).toBe(label);
  });
});

describe("chooseGguf", () => {
  const repository = QUANTIZATIONS.map((label) => `llava-7b-${label}.gguf`);

  it("finds each quantization, whatever its case and its company, and never another", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...QUANTIZATIONS),
        fc.subarray(QUANTIZATIONS),
        fc.constantFrom("-", ".", "_"),
        fc.boolean(),
        fc.boolean(),
        (wanted, others, separator, folders, lower) => {
          const pathOf = (label: string): string => {
            const name = `llava${separator}${lower ? label.toLowerCase() : label}.gguf`;
            return folders ? `${label}/${name}` : name;
          };
          const paths = [...new Set([...others, wanted])].map(pathOf);
          expect(choose(paths, wanted)).toBe(pathOf(wanted));
          expect(choose(paths, wanted.toLowerCase())).toBe(pathOf(wanted));
          const without = paths.filter((path) => path !== pathOf(wanted));
          expect(() => choose(without, wanted)).toThrow(without.length > 0 ? /has no "/ : /has no GGUF/);
        },
      ),
    );
  });

  it("takes only a file whose quantization is the one that was asked for", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[A-Za-z0-9_.-]{1,20}$/), { minLength: 1, maxLength: 8 }),
        fc.constantFrom(...QUANTIZATIONS),
        (stems, wanted) => {
          const paths = [...new Set(stems.map((stem) => `${stem}.gguf`))];
          let chosen: string | undefined;
          try {
            chosen = choose(paths, wanted);
          } catch {
            return;
          }
          const named = chosen?.toLowerCase() === `${wanted.toLowerCase()}.gguf`;
          expect(named || quantizationOfPath(chosen ?? "")?.replace("UD-", "") === wanted).toBe(true);
        },
      ),
    );
  });

  it("does not take Q4_K_M for what only looks like it", () => {
    expect(() => choose(["a-Q4_K_MX.gguf", "a-IQ4_K_M.gguf", "a-Q4_K_S.gguf"], "Q4_K_M")).toThrow(
      /has no "Q4_K_M"/,
    );
  });

  it("takes Q4_K_M when nobody asks for one, then what is near, then the only one", () => {
    expect(choose(repository)).toBe("llava-7b-Q4_K_M.gguf");
    expect(choose(["ggml-model-f16.gguf", "ggml-model-q4_k.gguf", "ggml-model-q5_k.gguf"])).toBe(
      "ggml-model-q4_k.gguf",
    );
    expect(choose(["a-F32.gguf", "a-BF16.gguf", "a-Q8_0.gguf"])).toBe("a-Q8_0.gguf");
    expect(choose(["a-UD-Q4_K_XL.gguf", "a-Q4_K_M.gguf"])).toBe("a-Q4_K_M.gguf");
    expect(choose(["llava.gguf", "mmproj-f16.gguf"])).toBe("llava.gguf");
  });

  it("takes a file by its name, with and without its ending", () => {
    expect(choose(repository, "llava-7b-IQ3_M.gguf")).toBe("llava-7b-IQ3_M.gguf");
    expect(choose(repository, "LLaVA-7b-iq3_m")).toBe("llava-7b-IQ3_M.gguf");
    expect(choose(["x/7b.gguf", "x/13b.gguf"], "13b")).toBe("x/13b.gguf");
    expect(choose(["llava-7b.gguf", "llava-13b.gguf"], "13B")).toBe("llava-13b.gguf");
  });

  it("takes the mixture when the plain one is not there", () => {
    expect(choose(["a-UD-Q4_K_XL.gguf", "a-Q8_0.gguf"], "q4_k_xl")).toBe("a-UD-Q4_K_XL.gguf");
    expect(choose(["a-UD-Q4_K_M.gguf", "a-Q4_K_M.gguf"], "UD-Q4_K_M")).toBe("a-UD-Q4_K_M.gguf");
  });

  it("lists what there is when the quantization is not", () => {
    expect(() => choose(["a-Q4_0.gguf", "a-Q8_0.gguf", "mmproj-F16.gguf"], "Q6_K")).toThrow(
      expect.objectContaining({ code: "model_not_found", hint: "There is Q4_0, Q8_0." }),
    );
  });

  it("asks when several files fit", () => {
    expect(() => choose(["a-Q4_K_M.gguf", "b-Q4_K_M.gguf"])).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        hint: expect.stringContaining("hf.co/org/repo:b-Q4_K_M.gguf"),
      }),
    );
    expect(choose(["a-Q4_K_M.gguf", "deep/b-Q4_K_M.gguf"])).toBe("a-Q4_K_M.gguf");
  });

  it("takes neither projectors, importance matrices nor drafters for models", () => {
    expect(
      choose(["a-mmproj-Q4_K_M.gguf", "mtp-a-Q4_K_M.gguf", "a-imatrix-Q4_K_M.gguf", "a-Q8_0.gguf"]),
    ).toBe("a-Q8_0.gguf");
    expect(() => choose(["mmproj-F16.gguf", "README.md"])).toThrow(/no GGUF file of a text model/);
  });

  it("keeps a stranger's control characters out of messages", () => {
    const names = ["\u001b[2J-Q4_0.gguf", "\u202eevil.gguf"];
    expect(() => choose(names, "Q8_0")).toThrow(
      expect.objectContaining({ hint: expect.not.stringMatching(/\p{C}/u) as string }),
    );
  });

  it("names the parts that are missing", () => {
    const paths = [1, 3].map((part) => `Q4_K_M/llava-0000${part}-of-00003.gguf`);
    const [group] = groupGgufs(paths);
    expect(group && missingParts(group)).toEqual(["Q4_K_M/llava-00002-of-00003.gguf"]);
    expect(() => choose(paths)).toThrow(/1 of 3 parts are missing: Q4_K_M\/llava-00002-of-00003\.gguf/);
  });

  it("tells split files apart by folder, name and count", () => {
    const paths = [
      "a/m-00001-of-00002.gguf",
      "a/m-00002-of-00002.gguf",
      "b/m-00001-of-00002.gguf",
      "m-00000-of-00002.gguf",
    ];
    expect(groupGgufs(paths).map(({ parts }) => parts.length)).toEqual([2, 1, 1]);
  });

  it("survives a file that claims a hundred thousand parts", () => {
    expect(() => choose(["a-Q4_0-00001-of-99999.gguf"])).toThrow(/99998 of 99999 parts are missing/);
  });
});

describe("isQuantization", () => {
  it.each([...QUANTIZATIONS, "q4_k_m", "fp16", "UD-IQ1_S"])("%s", (text) => {
    expect(isQuantization(text)).toBe(true);
  });
  it.each(["latest", "7b", "Q4_K_MX", "K_M", "4bit", ""])("not %j", (text) => {
    expect(isQuantization(text)).toBe(false);
  });
});

describe("chooseProjector", () => {
  const projector = (paths: readonly string[]): string | undefined => {
    const groups = groupGgufs(paths);
    const model = groups.find(({ role }) => role === "model");
    return model && chooseProjector(groups, model)?.parts[0];
  };

  it("prefers f16, then bf16, f32, q8_0", () => {
    const all = ["mmproj-Q8_0.gguf", "mmproj-F32.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf"];
    for (let left = all.length; left > 0; left--) {
      expect(projector(["llava-Q4_K_M.gguf", ...all.slice(0, left)])).toBe(all[left - 1]);
    }
  });

  it("goes by folder before precision", () => {
    expect(projector(["q/m-Q4_K_M.gguf", "q/mmproj-Q8_0.gguf", "mmproj-F16.gguf"])).toBe(
      "q/mmproj-Q8_0.gguf",
    );
    expect(projector(["q/m-Q4_K_M.gguf", "mmproj-Q8_0.gguf", "other/mmproj-F16.gguf"])).toBe(
      "mmproj-Q8_0.gguf",
    );
    expect(projector(["q/m-Q4_K_M.gguf", "mmproj/m-F16-mmproj.gguf"])).toBe("mmproj/m-F16-mmproj.gguf");
  });

  it("goes by name before precision", () => {
    const paths = ["llava-7b-Q4_K_M.gguf", "llava-13b-mmproj-f16.gguf", "llava-7b-mmproj-q8_0.gguf"];
    expect(projector(paths)).toBe("llava-7b-mmproj-q8_0.gguf");
    expect(projector(["ggml-model-q4_k.gguf", "mmproj-model-f16.gguf"])).toBe("mmproj-model-f16.gguf");
  });

  it("has none for a model that is alone", () => {
    expect(projector(["llava-Q4_K_M.gguf"])).toBeUndefined();
  });
});
