import { invalidModel, quote } from "../../../gguf/invalid-model.ts";
import { int32s, string, strings } from "../../../gguf/metadata.ts";
import { isObject } from "./json-values.ts";
import type { JsonFile } from "./model-folder.ts";
import { recognisePreTokenizer } from "./pre-tokenizers.ts";
import type { BytePairModel } from "./tokenizer-json.ts";
import type { TokenizerKeys, TokenizerSources } from "./tokenizer-keys.ts";
import { TOKEN_TYPES, Vocabulary } from "./vocabulary.ts";

/** A vocabulary over bytes, as of GPT-2, Llama 3 and Qwen2: `gpt2` in GGUF. */
export function byteLevelTokenizer(
  { path, root }: JsonFile,
  model: BytePairModel,
  { added, size }: TokenizerSources,
): TokenizerKeys {
  checkNormalizer(path, root["normalizer"]);
  const pre = recognisePreTokenizer(path, root["pre_tokenizer"], model.ignoreMerges);
  const vocabulary = new Vocabulary(path, size);
  for (const [token, id] of model.vocabulary) vocabulary.set(id, token, TOKEN_TYPES.normal);
  for (const [id, { text, special }] of added) {
    vocabulary.add(id, text, special ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined);
  }
  const ids = vocabulary.finish();
  // The 256 characters that stand for bytes have no space among them: a merge with one never happens.
  const merges = model.merges.filter(([left, right]) => !left.includes(" ") && !right.includes(" "));
  return {
    keys: [
      ["tokenizer.ggml.model", string("gpt2")],
      ["tokenizer.ggml.pre", string(pre)],
      ["tokenizer.ggml.tokens", strings(vocabulary.tokens as string[])],
      ["tokenizer.ggml.token_type", int32s(vocabulary.types)],
      ["tokenizer.ggml.merges", strings(merges.map(([left, right]) => `${left} ${right}`))],
    ],
    ids,
    own: { unk: model.unknownToken === undefined ? undefined : ids.get(model.unknownToken) },
    adds: { bos: false, eos: false },
  };
}

/** The engine does not rewrite a text. NFC is let pass: nearly all text is in that form already. */
function checkNormalizer(path: string, value: unknown): void {
  const steps = isObject(value) && Array.isArray(value["normalizers"]) ? value["normalizers"] : [value ?? {}];
  for (const step of steps) {
    const type = isObject(step) ? (step["type"] ?? "NFC") : undefined;
    if (type !== "NFC") {
      throw invalidModel(
        path,
        `"normalizer" rewrites texts by ${quote(typeof type === "string" ? type : "no type")}, which the engine does not do`,
      );
    }
  }
}
