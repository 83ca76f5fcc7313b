import type { Gguf } from "./gguf.ts";
import { invalidModel, quote } from "./invalid-model.ts";
import { checkShape, optionalInteger, optionalPositive, requireInteger } from "./key-checks.ts";
import { validateVocabulary } from "./validate-vocabulary.ts";

// Fixed sizes of arrays in the pinned llama.cpp (src/llama-hparams.h): beyond them it aborts.
const MAX_BLOCKS = 512;
const MAX_EXPERTS = 1024;
/** Far above any model there is; keeps products of two of them exact. */
const MAX_WIDTH = 2 ** 20;
const MAX_CONTEXT = 2 ** 28;

/**
 * Checks that a GGUF is a text model, and that what llama.cpp reads from it is in range: what it finds out of
 * range it answers with an abort, not with an error.
 *
 * @throws MullError `invalid_model` that names the key or tensor
 */
export function validateTextModel(gguf: Gguf): void {
  const architecture = gguf.requireString("general.architecture");
  checkKind(gguf, architecture);
  const blocks = requireInteger(gguf, `${architecture}.block_count`, 1, MAX_BLOCKS);
  const embedding = requireInteger(gguf, `${architecture}.embedding_length`, 1, MAX_WIDTH);
  requireInteger(gguf, `${architecture}.context_length`, 1, MAX_CONTEXT);
  checkPerBlock(gguf, `${architecture}.feed_forward_length`, blocks, 1, MAX_WIDTH);
  optionalInteger(gguf, `${architecture}.nextn_predict_layers`, 0, blocks);
  checkHeads(gguf, architecture, blocks, embedding);
  checkExperts(gguf, architecture);
  optionalPositive(gguf, `${architecture}.attention.layer_norm_rms_epsilon`);
  optionalPositive(gguf, `${architecture}.rope.freq_base`);
  const tokens = validateVocabulary(gguf);
  if (architecture === "llama") {
    const reason = `embedding_length is ${embedding}, and there are ${tokens} tokens`;
    checkShape(gguf, "token_embd.weight", [embedding, tokens], reason);
    checkShape(gguf, "output_norm.weight", [embedding], reason);
  }
}

function checkKind(gguf: Gguf, architecture: string): void {
  const type = gguf.string("general.type");
  if (architecture === "clip" || type === "mmproj") {
    throw invalidModel(
      gguf.path,
      "this is a projector (a vision encoder), not a text model",
      "Pass it as --projector, and the text model it belongs to as --model-file.",
    );
  }
  if (type === "adapter" || type === "imatrix") {
    throw invalidModel(gguf.path, `this is not a model but an ${type}`, "Give the text model itself.");
  }
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(architecture)) {
    throw invalidModel(gguf.path, `"general.architecture" is ${quote(architecture)}, which is no name`);
  }
}

/** Some architectures give one number for all blocks, others an array of one for each. */
function checkPerBlock(
  gguf: Gguf,
  key: string,
  blocks: number,
  least: number,
  most: number,
): number | undefined {
  if (gguf.metadata.get(key)?.type !== "array") return optionalInteger(gguf, key, least, most);
  const values = gguf.requireNumbers(key);
  // Blocks of another kind than attention have zeros here.
  const valid =
    values.length === blocks && values.every((value: number) => Number.isInteger(value) && value >= 0);
  if (valid && values.every((value: number) => value <= most)) return undefined;
  throw invalidModel(
    gguf.path,
    `${quote(key)} must have ${blocks} whole numbers from 0 to ${most}, one per block`,
  );
}

function checkHeads(gguf: Gguf, architecture: string, blocks: number, embedding: number): void {
  const key = `${architecture}.attention.head_count`;
  const heads = checkPerBlock(gguf, key, blocks, 1, MAX_WIDTH);
  const keyValueHeads = checkPerBlock(gguf, `${key}_kv`, blocks, 0, MAX_WIDTH);
  const keyLength = optionalInteger(gguf, `${architecture}.attention.key_length`, 1, MAX_WIDTH);
  optionalInteger(gguf, `${architecture}.attention.value_length`, 1, MAX_WIDTH);
  const rotated = optionalInteger(gguf, `${architecture}.rope.dimension_count`, 0, MAX_WIDTH);
  if (architecture === "llama" && !gguf.metadata.has(key)) gguf.requireNumber(key);
  if (heads === undefined) return;
  if (keyLength === undefined && embedding % heads !== 0) {
    throw invalidModel(
      gguf.path,
      `${quote(key)} is ${heads}, which does not divide the embedding length ${embedding}`,
    );
  }
  if (keyValueHeads !== undefined && keyValueHeads > 0 && heads % keyValueHeads !== 0) {
    throw invalidModel(
      gguf.path,
      `${quote(`${key}_kv`)} is ${keyValueHeads}, which does not divide ${heads} heads`,
    );
  }
  const headLength = keyLength ?? embedding / heads;
  if (rotated !== undefined && (rotated > headLength || rotated % 2 !== 0)) {
    const problem = `is ${rotated} instead of an even number up to ${headLength}, the length of a head`;
    throw invalidModel(gguf.path, `${quote(`${architecture}.rope.dimension_count`)} ${problem}`);
  }
}

function checkExperts(gguf: Gguf, architecture: string): void {
  const experts = optionalInteger(gguf, `${architecture}.expert_count`, 0, MAX_EXPERTS) ?? 0;
  const usedKey = `${architecture}.expert_used_count`;
  if (gguf.metadata.get(usedKey)?.type !== "array") {
    const used = optionalInteger(gguf, usedKey, 0, MAX_EXPERTS) ?? 0;
    if (used > experts || (experts > 0 && used === 0)) {
      throw invalidModel(gguf.path, `${quote(usedKey)} is ${used} of ${experts} experts`);
    }
  }
  const groups = optionalInteger(gguf, `${architecture}.expert_group_count`, 0, MAX_EXPERTS) ?? 0;
  const groupsUsed = optionalInteger(gguf, `${architecture}.expert_group_used_count`, 0, MAX_EXPERTS) ?? 0;
  if (groups === 0) return;
  const divided = groups < experts && experts % groups === 0;
  if (!divided || (groups > 1 && (groupsUsed === 0 || groupsUsed >= groups))) {
    throw invalidModel(
      gguf.path,
      `${experts} experts in ${groups} groups, ${groupsUsed} of them used, cannot be`,
    );
  }
}
