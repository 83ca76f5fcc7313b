import { templateFeatures } from "./template-features.ts";
import { isHarmony } from "./tool-format.ts";

export interface ThinkTags {
  open: string;
  close: string;
}

const KNOWN: readonly ThinkTags[] = [
  { open: "<think>", close: "</think>" },
  { open: "<thinking>", close: "</thinking>" },
  { open: "[THINK]", close: "[/THINK]" },
];

/** Tags in which the model of this chat template puts its thoughts; none if it does not think, or thinks in a channel. */
export function thinkTags(template: string): readonly ThinkTags[] {
  if (!templateFeatures(template).thinking || isHarmony(template)) return [];
  const named = KNOWN.filter(({ open, close }) => template.includes(open) || template.includes(close));
  return named.length > 0 ? named : KNOWN.slice(0, 1);
}

/** The tags of the thought that a rendered prompt opens at its end, and that the answer goes on with. */
export function openedThought(template: string, prompt: string): ThinkTags | undefined {
  const end = prompt.trimEnd();
  return thinkTags(template).find(({ open }) => end.endsWith(open));
}
