import { randomUUID } from "node:crypto";

/** A new id that nobody can guess, without characters that a URL would have to escape. */
export function newId(prefix: string): string {
  return prefix + randomUUID().replaceAll("-", "");
}
