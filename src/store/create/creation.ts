import type { ModelSetup } from "../model-setup.ts";
import type { ModelStore, Pin } from "../model-store.ts";
import type { OnTransferProgress } from "../transfer-progress.ts";

/** What a model is made from that has no manifest. */
export type BaseSetup = Omit<ModelSetup, "name" | "place">;

/** Writes weights anew in another type: `engine/quantize-model.ts`. */
export interface WeightTools {
  quantizeModel(options: {
    input: string;
    splitFiles?: readonly string[];
    output: string;
    type: string;
    /** A projector instead of a text model. */
    projector?: boolean;
    signal?: AbortSignal;
    onProgress?: (completedBytes: number, totalBytes: number) => void;
  }): Promise<{ bytes: number; type: string }>;
}

export interface CreateOptions {
  env: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  onProgress?: OnTransferProgress;
  /**
   * Finds a model that the recipe begins with and that is not in the store, before it is looked for everywhere else.
   * Default: nowhere.
   */
  findModel?: (name: string) => Promise<BaseSetup | undefined>;
  /** Downloads a model that the recipe begins with and that is not here. */
  fetchModel: (name: string) => Promise<void>;
  /** What writes weights anew; the store itself has no native code. */
  weights: WeightTools;
  /** Type to quantise the text model to, such as "q4_K_M". Default: as it is. */
  quantize?: string;
  /** Type to quantise the projector to, such as "q8_0". Default: as it is. */
  quantizeProjector?: string;
}

/** What every step of a creation works with. */
export interface Creation extends CreateOptions {
  store: ModelStore;
  /** What was made so far is not pruned. */
  pin: Pin;
  say: OnTransferProgress;
}
