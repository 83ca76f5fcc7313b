import type { Gguf } from "../gguf/gguf.ts";
import { MullError } from "../spec/errors.ts";
import type { Compatibility } from "../spec/options.ts";
import { AnyresView, type MergeType } from "./anyres-view.ts";
import { LlamaCppView } from "./llama-cpp-view.ts";
import type { LlavaView, ViewInput } from "./llava-view.ts";
import { readPinpoints } from "./pinpoints.ts";
import { SquareView } from "./square-view.ts";

/**
 * The view that a file's model was trained with, from `clip.vision.image_aspect_ratio` and
 * `clip.vision.image_grid_pinpoints`: `anyres` of LLaVA 1.6, bars of LLaVA 1.5 (`pad`), or the middle of the picture,
 * which is what CLIP and LLaVA 1.0 look at. Files that do not say have bars, those of a single linear layer, which
 * LLaVA 1.0 had, the middle.
 *
 * @param newline LLaVA 1.6's vector for the end of a line of rows, if the file has it
 * @throws MullError `invalid_model`
 */
export function readLlavaView(
  gguf: Gguf,
  input: ViewInput,
  { projector, newline, compat }: { projector: string; newline?: Float32Array; compat?: Compatibility },
): LlavaView {
  const pinpoints = readPinpoints(gguf, input.config.imageSize);
  if (compat === "llama.cpp") return new LlamaCppView(input, pinpoints);
  const aspect = gguf.string("clip.vision.image_aspect_ratio");
  if (pinpoints.length > 0 && (aspect === undefined || aspect.startsWith("anyres"))) {
    return new AnyresView(input, { pinpoints, merge: mergeTypeOf(gguf, newline), newline });
  }
  return new SquareView(input, (aspect ?? (projector === "linear" ? "square" : "pad")) === "pad");
}

/** LLaVA's own code joins the tiles' rows one after the other unless told otherwise; a file with a newline was. */
function mergeTypeOf(gguf: Gguf, newline: Float32Array | undefined): MergeType {
  const aspect = gguf.string("clip.vision.image_aspect_ratio") ?? "anyres";
  const type =
    gguf.string("clip.vision.mm_patch_merge_type") ?? (newline === undefined ? "flat" : "spatial_unpad");
  const known = type === "flat" || type === "spatial" || type === "spatial_unpad";
  if (known && aspect === "anyres") return type;
  throw new MullError(
    "invalid_model",
    `${gguf.path} joins tiles of a picture in a way that mull does not know: ${aspect}, ${type}.`,
    { hint: "mull runs LLaVA 1.6 with anyres and spatial_unpad, spatial or flat." },
  );
}
