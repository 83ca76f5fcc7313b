import type { Gguf } from "../gguf/gguf.ts";
import { MullError } from "../spec/errors.ts";
import type { Compatibility } from "../spec/options.ts";
import {
  type LlavaProjector,
  type LlavaProjectorType,
  type ProjectorInput,
  readPlainProjector,
} from "./llava-projector.ts";
import { readLdpProjector, readLdpV2Projector } from "./mobilevlm-projector.ts";

/**
 * Reads which projector a file holds (LLaVA: llava/model/multimodal_projector/builder.py).
 *
 * LLaVA was trained with PyTorch's GELU, which is the exact one; models trained with the tanh approximation say so
 * by the key `mull.projector_gelu` = "tanh". llama.cpp always takes the approximation.
 *
 * @param type projector type as the header names it
 * @throws MullError `invalid_model`
 */
export function readLlavaProjector(
  type: LlavaProjectorType,
  input: Omit<ProjectorInput, "gelu">,
  compat?: Compatibility,
): LlavaProjector {
  const gelu = compat === "llama.cpp" ? "tanh" : geluOf(input.gguf);
  if (type === "ldp") return readLdpProjector({ ...input, gelu });
  if (type === "ldpv2") return readLdpV2Projector({ ...input, gelu });
  return readPlainProjector(type, { ...input, gelu });
}

function geluOf(gguf: Gguf): "erf" | "tanh" {
  const gelu = gguf.string("mull.projector_gelu") ?? "erf";
  if (gelu === "erf" || gelu === "tanh") return gelu;
  throw new MullError("invalid_model", `${gguf.path}: mull.projector_gelu is "${gelu}", not erf or tanh.`);
}
