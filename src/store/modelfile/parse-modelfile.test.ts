import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MullError } from "../../spec/errors.ts";
import { type Modelfile, modelfileOf } from "./modelfile.ts";
import { PARAMETER_TYPES, type ParameterName } from "./parameters.ts";
import { parseModelfile } from "./parse-modelfile.ts";
import { printModelfile } from "./print-modelfile.ts";

function parse(text: string): Modelfile {
  return parseModelfile(text).modelfile;
}

function failure(text: string | Uint8Array): MullError {
  try {
    parseModelfile(text, "Modelfile");
  } catch (error) {
    if (MullError.is(error)) return error;
    throw error;
  }
  throw new Error("It was read.");
}

/** What a text says, and what is said by what is printed of it; of a refused one, whether the error names a line. */
function readTwice(text: string): { first: unknown; second: unknown } {
  try {
    const first = printModelfile(parse(text));
    expect(parse(first)).toEqual(parse(text));
    return { first, second: printModelfile(parse(first)) };
  } catch (error) {
    if (!MullError.is(error)) throw error;
    return { first: true, second: (error.details["line"] as number) > 0 };
  }
}

const EVERYTHING = `# a comment
from ./bakllava.gguf
PROJECTOR ./mmproj.gguf
  Adapter ./one.gguf
ADAPTER "./two.gguf"

# another
TEMPLATE """{{ .System }}
USER: {{ .Prompt }}
ASSISTANT: """
SYSTEM  You see "everything".
PARAMETER temperature 0.2
PARAMETER	num_ctx   4096
PARAMETER stop "</s>"
PARAMETER stop USER:
parameter USE_MMAP false
LICENSE """
Apache 2.0
"""
LICENSE second
MESSAGE user Is this a cat?
MESSAGE Assistant """Yes.
It is."""
REQUIRES v0.14.0
DRAFT ./draft.gguf
RENDERER qwen3-vl
PARSER qwen3`;

describe("A Modelfile", () => {
  it("may say everything there is", () => {
    expect(parseModelfile(EVERYTHING)).toEqual({
      modelfile: {
        from: ["./bakllava.gguf"],
        projector: "./mmproj.gguf",
        adapters: ["./one.gguf", "./two.gguf"],
        template: "{{ .System }}\nUSER: {{ .Prompt }}\nASSISTANT: ",
        system: 'You see "everything".',
        parameters: { temperature: 0.2, num_ctx: 4096, stop: ["</s>", "USER:"], use_mmap: false },
        licenses: ["\nApache 2.0\n", "second"],
        messages: [
          { role: "user", content: "Is this a cat?" },
          { role: "assistant", content: "Yes.\nIt is." },
        ],
        requires: "0.14.0",
        draft: "./draft.gguf",
        renderer: "qwen3-vl",
        parser: "qwen3",
      },
      warnings: [],
    });
  });

  it("from Windows is the same", () => {
    expect(parseModelfile(`\uFEFF${EVERYTHING.replaceAll("\n", "\r\n")}\r\n`)).toEqual(
      parseModelfile(EVERYTHING),
    );
  });

  it.each(["utf16le", "utf16be"])("may be in %s", (encoding) => {
    const bytes = Buffer.from(`\uFEFF${EVERYTHING}`, "utf16le");
    expect(parseModelfile(encoding === "utf16le" ? bytes : bytes.swap16())).toEqual(
      parseModelfile(EVERYTHING),
    );
  });

  it.each([
    ['SYSTEM """"Hi" she said"""', '"Hi" she said'],
    ['SYSTEM """He said "hi""""', 'He said "hi"'],
    ['SYSTEM """a """ b\nc"""', 'a """ b\nc'],
    ['SYSTEM """  a  """  ', "  a  "],
    ['SYSTEM ""', ""],
    ['SYSTEM """"""', ""],
    ["SYSTEM", ""],
    ["SYSTEM ", ""],
    ['SYSTEM "a\nb"', "a\nb"],
    ["SYSTEM a # b", "a # b"],
    ["SYSTEM it's 5\" long", "it's 5\" long"],
    ['SYSTEM <<END\ndef f():\n  """x"""\nEND\n', 'def f():\n  """x"""'],
    ["SYSTEM <<SYS>>", "<<SYS>>"],
    ["SYSTEM \u{1F468}\u200D\u{1F469}", "\u{1F468}\u200D\u{1F469}"],
  ])("%j has the text %j", (line, text) => {
    expect(parse(`FROM x\n${line}\nPARAMETER seed 1`)).toMatchObject({
      system: text,
      parameters: { seed: 1 },
    });
  });

  it("lets the last of an instruction count, as Ollama does", () => {
    expect(parse("FROM x\nSYSTEM a\nSYSTEM b\nPARAMETER seed 1\nPARAMETER seed 2")).toMatchObject({
      system: "b",
      parameters: { seed: 2 },
    });
  });

  it("may name several files of one model", () => {
    expect(parse("FROM /blobs/sha256-aa\nFROM ./mmproj.gguf").from).toEqual([
      "/blobs/sha256-aa",
      "./mmproj.gguf",
    ]);
  });

  it("warns of deprecated parameters", () => {
    expect(parseModelfile("FROM x\nPARAMETER mirostat 1")).toMatchObject({
      modelfile: { parameters: {} },
      warnings: ["line 2: the parameter 'mirostat' is deprecated, and is ignored."],
    });
  });

  it.each([
    ["", 1, /no FROM/, /FROM llava/],
    ["# FROM x", 1, /no FROM/, /FROM/],
    ["FROM x\n\nFORM y", 3, /no instruction: FORM y/, /Did you mean FROM\?/],
    ["FROM x\nhello there", 2, /no instruction/, /Instructions are FROM/],
    ["FROM\nSYSTEM a", 1, /FROM says nothing/, /Write FROM/],
    ['FROM x\nSYSTEM """a\nb\nPARAMETER seed 1', 2, /never ends: SYSTEM/, /last line must end/],
    ['FROM x\nSYSTEM "Hi" she said', 2, /never ends/, /only begins with a quote/],
    ["FROM x\nSYSTEM <<END\nhello", 2, /never ends/, /end/],
    ["FROM x\r\nMESSAGE robot hi", 2, /"system", "user" or "assistant"/, /MESSAGE user/],
    ["FROM x\nMESSAGE", 2, /role/, /MESSAGE user/],
    ["FROM llava\nFROM ./mmproj.gguf", 2, /second FROM/, /PROJECTOR/],
    ["FROM llava\nFROM bakllava", 2, /second FROM/, /files of one model/],
    ["FROM x\nPARAMETER temprature 1", 2, /unknown parameter 'temprature'/, /Did you mean temperature\?/],
    ["FROM x\nPARAMETER zzz 1", 2, /unknown parameter 'zzz'/, /Parameters are num_ctx/],
    ["FROM x\nPARAMETER", 2, /PARAMETER says nothing/, /Write/],
    ["FROM x\nPARAMETER seed", 2, /says nothing/, /Write/],
    ["FROM x\nPARAMETER num_ctx big", 2, /option "num_ctx" must be of type integer/, /PARAMETER num_ctx/],
    ["FROM x\nPARAMETER num_ctx 1.5", 2, /option "num_ctx" must be of type integer/, /PARAMETER num_ctx/],
    ["FROM x\nPARAMETER temperature 0x1", 2, /option "temperature" must be of type float32/, /type/],
    ["FROM x\nPARAMETER temperature 1e999", 2, /option "temperature" must be of type float32/, /type/],
    ["FROM x\nPARAMETER use_mmap yes", 2, /option "use_mmap" must be of type boolean/, /type/],
    ["FROM x\nPARAMETER seed 1 # lucky", 2, /option "seed"/, /A comment has a line of its own/],
    ["FROM x\nREQUIRES soon", 2, /no version/, /0\.14\.0/],
  ])("%j is refused at line %i", (text, line, message, hint) => {
    const error = failure(text);
    expect(error.code).toBe("invalid_argument");
    expect(error.message).toMatch(new RegExp(`^Modelfile, line ${line}: `));
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
    expect(error.details).toEqual({ line });
  });

  it("is refused when it is no text", () => {
    expect(failure(Uint8Array.of(0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0xff, 0xfe)).message).toMatch(
      /no text in UTF-8/,
    );
  });

  it("of any text is read or refused with a line, in linear time", () => {
    const soup = fc.array(
      fc.oneof(
        fc.constantFrom(
          "FROM",
          "from ",
          "PARAMETER ",
          "stop",
          "MESSAGE user ",
          "SYSTEM ",
          "\n",
          "\r\n",
          "\r",
        ),
        fc.constantFrom('"""', '"', "#", " ", "\t", "<<END", "\nEND\n", "\uFEFF", "x"),
        fc.string({ unit: "binary" }),
      ),
    );
    fc.assert(
      fc.property(soup, (pieces) => {
        const text = pieces.join("");
        const again = readTwice(text);
        expect(again.second).toEqual(again.first);
      }),
      { numRuns: 1000 },
    );
    expect(failure(`FROM x\nSYSTEM """${"a\n".repeat(200_000)}`).message).toMatch(/never ends/);
    expect(parse(`${"# c\n \n".repeat(200_000)}FROM x`).from).toEqual(["x"]);
  });
});

/** Texts in which quotes, line ends and spaces are frequent. */
const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom('"', '""', '"""', "\n", "\r", "\r\n", " ", "\t", "<<END", "END", "#", "{{ .Prompt }}"),
      fc.string({ unit: "binary", maxLength: 5 }),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => pieces.join(""));
const someText = anyText.map((text) => `x${text}`);
const integer = fc.maxSafeInteger().map((value) => value + 0);
const float = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const valueOf = {
  integer,
  float32: float,
  boolean: fc.boolean(),
  strings: fc.array(anyText, { minLength: 1, maxLength: 3 }),
};
const parameters = fc.record(
  Object.fromEntries(
    Object.entries(PARAMETER_TYPES).map(([name, type]) => [name, valueOf[type] as fc.Arbitrary<unknown>]),
  ) as Record<ParameterName, fc.Arbitrary<never>>,
  { requiredKeys: [] },
);
const anyModelfile: fc.Arbitrary<Modelfile> = fc.record(
  {
    from: fc.oneof(
      someText.map((text): [string] => [text]),
      fc.tuple(someText, someText).map(([a, b]): [string, string] => [`/${a}`, `./${b}.gguf`]),
    ),
    projector: someText,
    template: anyText,
    system: anyText,
    draft: someText,
    renderer: someText,
    parser: someText,
    requires: fc.constantFrom("1", "0.14.0", "1.2.3-rc1+x"),
    adapters: fc.array(someText, { maxLength: 3 }),
    licenses: fc.array(anyText, { maxLength: 3 }),
    parameters,
    messages: fc.array(
      fc.record({ role: fc.constantFrom("system", "user", "assistant"), content: anyText }),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: ["from", "adapters", "licenses", "parameters", "messages"] },
);

describe("printModelfile", () => {
  it("prints what is read as the same", () => {
    fc.assert(
      fc.property(anyModelfile, (modelfile) => {
        expect(parse(printModelfile(modelfile))).toEqual(modelfile);
      }),
      { numRuns: 1000 },
    );
  });

  it("writes as people write", () => {
    expect(printModelfile(parse(EVERYTHING), ["made by a\ntest"])).toMatchInlineSnapshot(`
      "# made by a test
      FROM ./bakllava.gguf
      PROJECTOR ./mmproj.gguf
      ADAPTER ./one.gguf
      ADAPTER ./two.gguf
      DRAFT ./draft.gguf
      TEMPLATE """{{ .System }}
      USER: {{ .Prompt }}
      ASSISTANT: """
      SYSTEM """You see "everything"."""
      RENDERER qwen3-vl
      PARSER qwen3
      PARAMETER temperature 0.2
      PARAMETER num_ctx 4096
      PARAMETER stop "</s>"
      PARAMETER stop "USER:"
      PARAMETER use_mmap false
      REQUIRES 0.14.0
      LICENSE """
      Apache 2.0
      """
      LICENSE """second"""
      MESSAGE user """Is this a cat?"""
      MESSAGE assistant """Yes.
      It is."""
      "
    `);
  });

  it("has a form for texts whose lines end in quotes", () => {
    const system = 'Write docstrings:\n"""Like this."""\nEND\n';
    const printed = printModelfile(modelfileOf("llava", { system, template: "" }));
    expect(printed).toBe(`FROM llava\nSYSTEM <<END_\n${system}\nEND_\n`);
    expect(parse(printed).system).toBe(system);
  });
});
