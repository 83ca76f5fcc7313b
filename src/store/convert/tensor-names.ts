import { invalidModel, quote } from "../../gguf/invalid-model.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { StoredTensor } from "./safetensors.ts";

/**
 * The same parts of a model go by other names in LLaVA's own repository (`model.mm_projector.0.weight`), in
 * transformers before 4.52 (`language_model.model.layers…`, `multi_modal_projector.linear_1.weight`) and since
 * (`model.language_model.layers…`). Here they are called as in a text model of transformers (`model.layers…`,
 * `lm_head.weight`), `vision.…` as in CLIPVisionModel, `projector.0.weight`, and `image_newline`.
 */
const COMMON_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^(?:model\.)?vision_tower\.(?:vision_tower\.)?(?:vision_model\.)?(.+)$/, "vision.$1"],
  [/^(?:model\.)?multi_modal_projector\.linear_1\.(weight|bias)$/, "projector.0.$1"],
  [/^(?:model\.)?multi_modal_projector\.linear_2\.(weight|bias)$/, "projector.2.$1"],
  [/^model\.mm_projector\.(weight|bias)$/, "projector.0.$1"],
  [/^model\.mm_projector\.(\d+\.(?:weight|bias))$/, "projector.$1"],
  [/^(?:model\.)?image_newline$/, "image_newline"],
  [/^language_model\.((?:model|lm_head)\..+)$/, "$1"],
  [/^model\.language_model\.(.+)$/, "model.$1"],
];

/** Tables that follow from the configuration. Old versions of transformers stored them. */
const COMPUTED = /(^|\.)(rotary_emb\.inv_freq|embeddings\.position_ids|masked_bias|attention\.bias)$/;

/**
 * @param origin folder, for messages
 * @throws MullError `invalid_model` if two tensors are the same part
 */
export function withCommonNames(origin: string, checkpoint: Checkpoint): ReadonlyMap<string, StoredTensor> {
  const named = new Map<string, StoredTensor>();
  for (const tensor of checkpoint.values()) {
    if (COMPUTED.test(tensor.name)) continue;
    const name = commonName(tensor.name);
    const other = named.get(name);
    if (other !== undefined) {
      throw invalidModel(origin, `tensors ${quote(other.name)} and ${quote(tensor.name)} are the same part`);
    }
    named.set(name, tensor);
  }
  return named;
}

/** A vision tower that lies alone in its folder: CLIPVisionModel, or the half of a CLIPModel that sees. */
export function visionTensorsOf(checkpoint: Checkpoint): ReadonlyMap<string, StoredTensor> {
  const named = new Map<string, StoredTensor>();
  for (const tensor of checkpoint.values()) {
    const rest = /^vision_model\.(.+)$/.exec(tensor.name)?.[1];
    if (rest !== undefined && !COMPUTED.test(tensor.name)) named.set(`vision.${rest}`, tensor);
  }
  return named;
}

function commonName(name: string): string {
  for (const [pattern, common] of COMMON_NAMES) {
    if (pattern.test(name)) return name.replace(pattern, common);
  }
  return name;
}
