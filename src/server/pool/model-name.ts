/** `model`, `model:tag`, `space/model:tag`, `host/space/model:tag`: each part begins with a letter, digit or `_`. */
const NAME = /^(?:\w[\w.:-]{0,349}\/)?(?:\w[\w-]{0,79}\/)?\w[\w.-]{0,79}(?::\w[\w.-]{0,79})?$/;

/** Where Ollama's own models come from: a name with it in front means the same as without. */
const DEFAULT_SPACE = /^(?:registry\.ollama\.ai\/)?library\//i;

/**
 * The full form of a model's name, with its tag: "pico" is "pico:latest". Letters keep their case, but names that
 * differ in nothing else are the same name. Undefined for what cannot be a name.
 */
export function canonicalName(name: string): string | undefined {
  if (!NAME.test(name)) return undefined;
  const short = name.replace(DEFAULT_SPACE, "");
  return /:[^/]*$/.test(short) ? short : `${short}:latest`;
}
