import { basename, dirname, join } from "node:path";

const SPLIT_NAME = /^(?<prefix>.*)-(?<part>\d{5})-of-(?<count>\d{5})\.gguf$/s;

export interface SplitName {
  /** Path without the ending that names the part. */
  prefix: string;
  /** From 1. */
  part: number;
  count: number;
}

/** Takes `dir/name-00001-of-00003.gguf` apart; undefined for any other name. */
export function parseSplitName(path: string): SplitName | undefined {
  const groups = SPLIT_NAME.exec(basename(path))?.groups;
  if (groups === undefined) return undefined;
  const { prefix = "", part, count } = groups;
  return { prefix: join(dirname(path), prefix), part: Number(part), count: Number(count) };
}

export function splitName(prefix: string, part: number, count: number): string {
  const digits = (value: number): string => String(value).padStart(5, "0");
  return `${prefix}-${digits(part)}-of-${digits(count)}.gguf`;
}
