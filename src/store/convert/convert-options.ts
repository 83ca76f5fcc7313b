import type { OutputType } from "./planned-tensor.ts";

export interface ConvertOptions {
  /** Type of the matrices; vectors are always f32. Default `keep`: as they are stored, which loses nothing. */
  type?: OutputType;
  /** The same for the projector. Default: `type`, but `keep` for q8_0. */
  projectorType?: OutputType;
  /** Folder of the vision tower, for models that name one instead of holding it. Default: looked for nearby. */
  visionTower?: string;
}

export interface ConvertedModel {
  /** Path of the text model. */
  model: string;
  /** Path of vision encoder and projector; undefined for a text-only model. */
  projector: string | undefined;
  /** What the user should know: values that are not numbers, tensors that kept their type, limits of the result. */
  warnings: readonly string[];
}
