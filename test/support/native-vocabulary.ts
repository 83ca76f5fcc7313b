import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MetadataValue, string } from "../../src/gguf/metadata.ts";
import { writeGguf } from "../../src/gguf/write.ts";
import { loadLibraries } from "../../src/native/libraries.ts";
import { declareLlama } from "../../src/native/llama.ts";

/** The engine's own tokenizer with a vocabulary and no model. */
export interface NativeVocabulary {
  /** As the engine reads a prompt: control tokens are recognised in the text, nothing is put around it. */
  encode(text: string): number[];
  /** The same with what is put around a whole text. */
  encodeWhole(text: string): number[];
  /** Bytes of the tokens' texts, one after another, as text. */
  decode(tokens: readonly number[]): string;
  endsGeneration(token: number): boolean;
  bos: number;
  size: number;
  close(): void;
}

/** @param tokenizer the `tokenizer.*` keys of a GGUF file */
export async function loadNativeVocabulary(
  tokenizer: ReadonlyMap<string, MetadataValue>,
): Promise<NativeVocabulary> {
  const folder = mkdtempSync(join(tmpdir(), "mull-vocabulary-"));
  const path = join(folder, "vocabulary.gguf");
  const metadata = new Map([["general.architecture", string("llama")], ...tokenizer]);
  await writeGguf(path, { metadata, tensors: [] });
  const llama = declareLlama(loadLibraries({ device: "cpu" }));
  llama.backendInit();
  const model = llama.modelLoadFromFile(path, { ...llama.modelDefaultParams(), vocab_only: true });
  rmSync(folder, { recursive: true });
  if (model === null) throw new Error("the engine does not load this vocabulary");
  const vocab = llama.modelGetVocab(model);
  const encode = (text: string, whole: boolean): number[] => {
    const bytes = new TextEncoder().encode(text);
    const tokens = new Int32Array(bytes.length + 8);
    const count = llama.tokenize(vocab, bytes, bytes.length, tokens, tokens.length, whole, true);
    return [...tokens.subarray(0, count)];
  };
  const piece = (token: number): Uint8Array => {
    const buffer = new Uint8Array(1024);
    return buffer.subarray(0, llama.tokenToPiece(vocab, token, buffer, buffer.length, 0, false));
  };
  return {
    encode: (text) => encode(text, false),
    encodeWhole: (text) => encode(text, true),
    decode: (tokens) => Buffer.concat(tokens.map(piece)).toString("utf8"),
    endsGeneration: (token) => llama.vocabIsEog(vocab, token),
    bos: llama.vocabBos(vocab),
    size: llama.vocabNTokens(vocab),
    close: () => llama.modelFree(model),
  };
}
