/** How old an answer may be, in ms. */
const LIFETIME_MS = 1000;
const MOST_KEYS = 100;

/** A function that remembers, for a while. */
export interface Remembering<Arguments extends readonly unknown[], Result> {
  (...asked: Arguments): Promise<Result>;
  /** What was found, or is being looked for, may not be so any more. */
  forget(): void;
}

/**
 * The same function, but what it found is good for a second: every request asks for the same few models, and each look
 * at the disk costs more than the rest of the request. What failed is not remembered.
 */
export function rememberBriefly<Arguments extends readonly unknown[], Result>(
  look: (...asked: Arguments) => Promise<Result>,
  keyOf: (...asked: Arguments) => string,
): Remembering<Arguments, Result> {
  const known = new Map<string, { since: number; result: Promise<Result> }>();
  const remembering = (...asked: Arguments): Promise<Result> => {
    const key = keyOf(...asked);
    const found = known.get(key);
    if (found !== undefined && performance.now() - found.since < LIFETIME_MS) return found.result;
    const result = look(...asked);
    known.delete(key);
    known.set(key, { since: performance.now(), result });
    if (known.size > MOST_KEYS) known.delete(known.keys().next().value as string);
    result.catch(() => {
      if (known.get(key)?.result === result) known.delete(key);
    });
    return result;
  };
  return Object.assign(remembering, { forget: () => known.clear() });
}
