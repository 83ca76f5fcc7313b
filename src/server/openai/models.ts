import { z } from "@hono/zod-openapi";
import { DEFAULT_NAMESPACE, parseModelName } from "../../store/model-name.ts";
import type { CatalogEntry } from "../model-pool.ts";

export interface WireModel {
  id: string;
  object: "model";
  /** Unix time in seconds. */
  created: number;
  owned_by: string;
}

export function toWireModel({ name, modifiedAt }: CatalogEntry): WireModel {
  return {
    id: name,
    object: "model",
    created: Math.floor(modifiedAt.getTime() / 1000),
    owned_by: parseModelName(name)?.namespace ?? DEFAULT_NAMESPACE,
  };
}

export const wireModel: z.ZodType<WireModel> = z
  .object({
    id: z.string().openapi({ example: "pico:latest" }),
    object: z.literal("model"),
    created: z.int().openapi({ description: "When its files were last changed, Unix time in seconds." }),
    owned_by: z.string().openapi({ description: "The owner that its name tells, or library." }),
  })
  .openapi("OpenAIModel");

export const wireModels: z.ZodType<{ object: "list"; data: WireModel[] }> = z
  .object({ object: z.literal("list"), data: z.array(wireModel) })
  .openapi("OpenAIModelList");
