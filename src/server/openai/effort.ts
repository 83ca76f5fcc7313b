import { z } from "@hono/zod-openapi";
import type { StreamRequest } from "../../spec/model.ts";

export type WireEffort = "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max";

export const effort: z.ZodType<WireEffort> = z
  .enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
  .openapi({ description: "How hard a model that can think does so first. Default: as its template says." });

export function toThink(wire: WireEffort): NonNullable<StreamRequest["think"]> {
  switch (wire) {
    case "none":
      return false;
    case "minimal":
      return "low";
    case "xhigh":
      return "max";
    default:
      return wire;
  }
}
