import { z } from "@hono/zod-openapi";
import type { TokenLogprob } from "../../spec/stream.ts";

interface WireTopLogprob {
  token: string;
  logprob: number;
  bytes: number[];
}

export interface WireLogprob extends WireTopLogprob {
  top_logprobs: WireTopLogprob[];
}

const topFields = {
  token: z.string(),
  logprob: z
    .number()
    .openapi({ description: "Natural logarithm of its probability before any sampling option." }),
  bytes: z.array(z.int()).openapi({ description: "UTF-8." }),
};

export const wireLogprob: z.ZodType<WireLogprob> = z
  .object({ ...topFields, top_logprobs: z.array(z.object(topFields)) })
  .openapi("OpenAITokenLogprob");

export function toWireLogprob({ top, ...token }: TokenLogprob): WireLogprob {
  return { ...toTopLogprob(token), top_logprobs: top.map(toTopLogprob) };
}

function toTopLogprob({ token, logprob, bytes }: Omit<TokenLogprob, "top">): WireTopLogprob {
  return { token, logprob: toFinite(logprob), bytes: [...bytes] };
}

/** JSON has no -Infinity; OpenAI writes -9999 for a token that is next to impossible. */
export function toFinite(logprob: number): number {
  return Math.max(logprob, -9999);
}
