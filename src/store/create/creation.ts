import type { ModelStore, Pin } from "../model-store.ts";
import type { OnTransferProgress } from "../transfer-progress.ts";

/** Writes weights anew in another type: `engine/quantize-model.ts`. */
export interface WeightTools {
  /** @throws MullError `invalid_argument` for a type that there is not */
  requireQuantization(type: string, projector: boolean): void;
  quantizeModel(options: {
    input: string;
    splitFiles?: readonly string[];
    output: string;
    type: string;
    /** A projector instead of a text model. */
    projector?: boolean;
    allowRequantize?: boolean;
    signal?: AbortSignal;
    onProgress?: (completedBytes: number, totalBytes: number) => void;
  }): Promise<{ bytes: number; type: string }>;
}

export interface CreateOptions {
  env: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  onProgress?: OnTransferProgress;
  /** Downloads a model that the recipe begins with and that is not here. */
  fetchModel: (name: string) => Promise<void>;
  /** What writes weights anew; the store itself has no native code. */
  weights: WeightTools;
  /** Type to quantise the text model to, such as "q4_K_M". Default: as it is. */
  quantize?: string;
  /** Type to quantise the projector to, such as "q8_0". Default: as it is. */
  quantizeProjector?: string;
  /** Also what is quantised already, although it loses more than quantising the original. Default false. */
  allowRequantize?: boolean;
}

/** What every step of a creation works with. */
export interface Creation extends CreateOptions {
  store: ModelStore;
  /** What was made so far is not pruned. */
  pin: Pin;
  /** Folders of this creation, removed at its end. */
  temporaries: string[];
  say: OnTransferProgress;
}
