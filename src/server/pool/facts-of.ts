import type { LoadOptions } from "../../spec/options.ts";
import { type ModelFacts, readModelFacts } from "../../store/facts/model-facts.ts";
import { filesOfModel } from "../../store/locate-model.ts";

/**
 * What is known of the model that these options would load, without loading it.
 *
 * @throws MullError `model_not_found`, `invalid_model`
 */
export function factsOf(load: LoadOptions): Promise<ModelFacts> {
  const { model, splitFiles, projector, adapters } = filesOfModel(load);
  const { template, fallbackTemplate } = load;
  return readModelFacts({ model: splitFiles ?? model, projector, adapters, template, fallbackTemplate });
}
