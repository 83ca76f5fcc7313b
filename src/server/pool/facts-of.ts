import { resolveModel } from "../../engine/resolve-model.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { type ModelFacts, readModelFacts } from "../../store/facts/model-facts.ts";

/**
 * What is known of the model that these options would load, without loading it.
 *
 * @throws MullError `model_not_found`, `invalid_model`
 */
export function factsOf(load: LoadOptions): Promise<ModelFacts> {
  const { model, projector } = resolveModel(load.model ?? "pico", load.projector);
  return readModelFacts({ model, projector, template: load.template });
}
