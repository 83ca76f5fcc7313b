import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jsonSchemaToGrammar } from "../src/chat/json-schema-grammar.ts";
import { type Libraries, loadLibraries } from "../src/native/libraries.ts";
import { type Llama, type LlamaModel, type LlamaVocab, declareLlama } from "../src/native/llama.ts";
import { SCHEMA_CASES } from "./support/schema-cases.ts";

/** pico's tokens for single bytes stand behind `<unk>`, `<s>` and `</s>`. */
const BYTE_TOKEN = 3;
const END_TOKEN = 2;
const REFUSED = -Infinity;

/** llama.cpp's own grammar sampler: it must parse what we write, and let through the same texts as our tests do. */
describe("grammars in llama.cpp", () => {
  let llama: Llama;
  let model: LlamaModel;
  let vocab: LlamaVocab;
  let native: {
    init: (vocab: LlamaVocab, grammar: string, root: string) => unknown;
    apply: (sampler: unknown, candidates: unknown) => void;
    accept: (sampler: unknown, token: number) => void;
    free: (sampler: unknown) => void;
  };

  beforeAll(() => {
    const libraries: Libraries = loadLibraries({ device: "cpu", logs: "none" });
    llama = declareLlama(libraries);
    llama.backendInit();
    const { koffi } = libraries;
    const data = koffi.struct("llama_token_data_of_test", { id: "int32", logit: "float", p: "float" });
    const list = koffi.struct("llama_token_data_array_of_test", {
      data: koffi.pointer(data),
      size: "size_t",
      selected: "int64",
      sorted: "bool",
    });
    const declare = (name: string, result: string, parameters: unknown[]) =>
      libraries.llama.func(`llama_sampler_${name}`, result, parameters as string[]);
    native = {
      init: declare("init_grammar", "void *", ["void *", "str", "str"]) as never,
      apply: declare("apply", "void", ["void *", koffi.inout(koffi.pointer(list))]) as never,
      accept: declare("accept", "void", ["void *", "int32"]) as never,
      free: declare("free", "void", ["void *"]) as never,
    };
    const path = fileURLToPath(new URL("../models/pico/pico.gguf", import.meta.url));
    model = llama.modelLoadFromFile(path, { ...llama.modelDefaultParams(), vocab_only: true }) as LlamaModel;
    vocab = llama.modelGetVocab(model);
  });

  afterAll(() => llama.modelFree(model));

  function accepts(grammar: string, text: string): boolean {
    const sampler = native.init(vocab, grammar, "root");
    if (sampler === null) throw new Error(`llama.cpp cannot read this grammar:\n${grammar}`);
    try {
      for (const byte of [...new TextEncoder().encode(text).map((value) => value), -1]) {
        const token = byte < 0 ? END_TOKEN : BYTE_TOKEN + byte;
        const data = new Float32Array(3);
        new Int32Array(data.buffer)[0] = token;
        native.apply(sampler, { data, size: 1, selected: -1, sorted: false });
        if (data[1] === REFUSED) return false;
        if (byte >= 0) native.accept(sampler, token);
      }
      return true;
    } finally {
      native.free(sampler);
    }
  }

  it.each(SCHEMA_CASES.map((entry) => [JSON.stringify(entry.schema), entry] as const))("%s", (_, entry) => {
    const grammar = jsonSchemaToGrammar(entry.schema);
    const verdict = (values: readonly unknown[]): [unknown, boolean][] =>
      values.map((value) => [value, accepts(grammar, JSON.stringify(value))]);
    expect(verdict(entry.valid)).toEqual(entry.valid.map((value) => [value, true]));
    expect(verdict(entry.invalid)).toEqual(entry.invalid.map((value) => [value, false]));
  });
});
