import type { TokenSettings } from "./added-tokens.ts";
import { namedToken } from "./added-tokens.ts";
import { type MetadataValue, bool, uint32 } from "../../../gguf/metadata.ts";
import { invalidModel } from "../../../gguf/invalid-model.ts";
import { isObject, optionalFlag, wrongShape } from "./json-values.ts";
import type { JsonFile } from "./model-folder.ts";

export interface SpecialTokenSources extends TokenSettings {
  config: JsonFile;
  generationConfig: JsonFile;
}

type Role = "bos" | "eos" | "unk" | "pad";
export type SpecialTokenIds = Partial<Record<Role, number | undefined>>;

const KEYS: Readonly<Record<Role, string>> = {
  bos: "tokenizer.ggml.bos_token_id",
  eos: "tokenizer.ggml.eos_token_id",
  unk: "tokenizer.ggml.unknown_token_id",
  pad: "tokenizer.ggml.padding_token_id",
};
const END_OF_MESSAGE = "<|eom_id|>";

/**
 * The numbers of special tokens. A token that `tokenizer_config.json` or `special_tokens_map.json` names goes before
 * a number in `config.json`, that before one in `generation_config.json`, and that before the vocabulary's own.
 * Where generation ends at several tokens, the others become end of turn and end of message.
 *
 * @param ids all tokens by name
 * @param own numbers that the vocabulary itself gives
 * @throws MullError `invalid_model` if no token ends an answer
 */
export function specialTokenKeys(
  sources: SpecialTokenSources,
  ids: ReadonlyMap<string, number>,
  own: SpecialTokenIds,
): [string, MetadataValue][] {
  const { tokenizerConfig, specialTokensMap, config, generationConfig } = sources;
  const find = (role: Role): number | undefined => {
    for (const file of [tokenizerConfig, specialTokensMap]) {
      const text = namedToken(file, `${role}_token`);
      const id = text === undefined ? undefined : ids.get(text);
      if (id !== undefined) return id;
    }
    const [listed] = numbersOf(config, role, ids.size);
    return listed ?? numbersOf(generationConfig, role, ids.size)[0] ?? own[role];
  };
  const eos = find("eos");
  if (eos === undefined || eos >= ids.size) {
    throw invalidModel(
      tokenizerConfig.path,
      `no token ends an answer: neither "eos_token" here nor "eos_token_id" in config.json names one`,
    );
  }
  // Native code assumes a number of its own where none is given: a wrong one, for most vocabularies.
  const roles = { bos: find("bos") ?? eos, eos, unk: find("unk"), pad: find("pad") };
  const keys: [string, MetadataValue][] = [];
  for (const [role, id] of Object.entries(roles)) {
    if (id !== undefined && id < ids.size) keys.push([KEYS[role as Role], uint32(id)]);
  }
  const endings = [config, generationConfig].flatMap((file) => numbersOf(file, "eos", ids.size));
  const others = [...new Set(endings)].filter((id) => id !== eos);
  const message = others.find((id) => id === ids.get(END_OF_MESSAGE));
  const [turn, next] = others.filter((id) => id !== message);
  if (turn !== undefined) keys.push(["tokenizer.ggml.eot_token_id", uint32(turn)]);
  const eom = message ?? next;
  if (eom !== undefined) keys.push(["tokenizer.ggml.eom_token_id", uint32(eom)]);
  return keys;
}

/**
 * Whether BOS and EOS are put around a text.
 * @param tokenizerJson its post-processor is asked where `tokenizer_config.json` says nothing
 * @param preset where that says nothing either
 */
export function addTokenKeys(
  tokenizerConfig: JsonFile,
  tokenizerJson: JsonFile | undefined,
  preset: { bos: boolean; eos: boolean },
): [string, MetadataValue][] {
  const processed = tokenizerJson && postProcessor(tokenizerJson.root["post_processor"]);
  const { path, root } = tokenizerConfig;
  return (["bos", "eos"] as const).map((role) => {
    const name = `add_${role}_token`;
    const own = optionalFlag(path, JSON.stringify(name), root[name]);
    return [`tokenizer.ggml.${name}`, bool(own ?? processed?.[role] ?? preset[role])];
  });
}

/** What the post-processor puts around a single text; undefined if there is none that does. */
function postProcessor(value: unknown): { bos: boolean; eos: boolean } | undefined {
  const steps = isObject(value) && Array.isArray(value["processors"]) ? value["processors"] : [value];
  for (const step of steps) {
    if (!isObject(step)) continue;
    const { type, single } = step;
    if (type === "RobertaProcessing" || type === "BertProcessing") return { bos: true, eos: true };
    if (type !== "TemplateProcessing" || !Array.isArray(single)) continue;
    const isSpecial = (entry: unknown): boolean => isObject(entry) && isObject(entry["SpecialToken"]);
    const text = single.findIndex((entry) => !isSpecial(entry));
    return { bos: text > 0, eos: text >= 0 && single.slice(text + 1).some(isSpecial) };
  }
  return undefined;
}

/** `eos_token_id` and the like: a number or a list. Those that stand for "none" or have no row are left out. */
function numbersOf({ path, root }: JsonFile, role: Role, size: number): number[] {
  const name = `${role}_token_id`;
  const text = root["text_config"];
  const value = root[name] ?? (isObject(text) ? text[name] : undefined) ?? [];
  return (Array.isArray(value) ? value : [value]).filter((id: unknown): id is number => {
    if (!Number.isInteger(id)) throw wrongShape(path, JSON.stringify(name), "the number of a token", id);
    return (id as number) >= 0 && (id as number) < size;
  });
}
