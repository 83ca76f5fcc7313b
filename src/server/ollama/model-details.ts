import { z } from "@hono/zod-openapi";
import type { ModelInfo } from "../../spec/model.ts";
import { humanNumber } from "../../store/facts/human-number.ts";
import type { ModelFacts } from "../../store/facts/model-facts.ts";

/** `details` of a model, in every answer about models. */
export interface ModelDetails {
  parent_model: string;
  format: string;
  family: string;
  families: readonly string[];
  parameter_size: string;
  quantization_level: string;
  context_length: number;
  embedding_length: number;
}

export const modelDetails: z.ZodType<ModelDetails> = z
  .object({
    parent_model: z.string(),
    format: z.literal("gguf"),
    family: z.string().openapi({ example: "llama" }),
    families: z.array(z.string()).openapi({ example: ["llama", "clip"] }),
    parameter_size: z.string().openapi({ example: "7.2B" }),
    quantization_level: z.string().openapi({ example: "Q4_K_M" }),
    context_length: z.int().openapi({ description: "What the model was trained for, in tokens." }),
    embedding_length: z.int(),
  })
  .openapi("OllamaModelDetails");

/** By the headers of its files. */
export function detailsOfFiles(facts: ModelFacts): ModelDetails {
  return {
    parent_model: "",
    format: "gguf",
    family: facts.architecture,
    families: facts.families,
    parameter_size: humanNumber(facts.parameters),
    quantization_level: facts.quantization,
    context_length: facts.contextLength,
    embedding_length: facts.embeddingLength,
  };
}

/** By what a loaded model says of itself. */
export function detailsOfLoaded(info: ModelInfo): ModelDetails {
  return {
    parent_model: "",
    format: "gguf",
    family: info.architecture,
    families: info.encoder === undefined ? [info.architecture] : [info.architecture, "clip"],
    parameter_size: humanNumber(info.parameters),
    quantization_level: info.quantization,
    context_length: info.trainedContextLength,
    embedding_length: info.embeddingLength,
  };
}
