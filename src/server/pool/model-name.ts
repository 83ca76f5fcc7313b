import { formatModelName } from "../../store/model-name.ts";
import { nameOf, parseReference } from "../../store/reference.ts";

/**
 * A model's name with its tag and without what is understood: "pico" is "pico:latest". Letters keep their case, but
 * names that differ in nothing else are the same name. Undefined for what cannot be a name.
 */
export function canonicalName(text: string): string | undefined {
  try {
    const name = nameOf(parseReference(text));
    return name === undefined ? undefined : formatModelName(name);
  } catch {
    return undefined;
  }
}
