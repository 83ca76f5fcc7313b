/**
 * A small seeded generator: sfc32 (Chris Doty-Humphrey, PractRand). The same seed gives the same numbers on every
 * machine, which `Math.random` does not promise.
 *
 * @param seed 0..2^32-1
 * @returns a function that gives the next number in [0, 1)
 */
export function seededRandom(seed: number): () => number {
  let [a, b, c, counter] = [seed >>> 0, 0x9e3779b9, 0x243f6a88, 1];
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  };
  // The first numbers still show the seed's bits.
  for (let round = 0; round < 12; round++) next();
  return next;
}
