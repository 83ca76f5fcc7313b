import { resolveFiles } from "../../engine/resolve-model.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { type ModelFacts, readModelFacts } from "../../store/facts/model-facts.ts";

/**
 * What is known of the model that these options would load, without loading it.
 *
 * @throws MullError `model_not_found`, `invalid_model`, `invalid_argument`
 */
export function factsOf(load: LoadOptions): Promise<ModelFacts> {
  const { model, splitFiles, projector, adapters } = resolveFiles(load);
  return readModelFacts({ model: splitFiles ?? model, projector, adapters, template: load.template });
}
