/** Sizes between which an SVG is drawn, longest side in pixels. It has no pixels of its own. */
export const SVG_SIDE = { least: 1024, most: 4096 };

/** At 72 dots per inch one unit of an SVG is one pixel. */
export const SVG_BASE_DENSITY = 72;

/**
 * Dots per inch at which an SVG is drawn: its own size if that is sensible, else scaled to the nearest sensible one.
 * An icon of 24 units would otherwise be a blur, a poster of 40000 units a gigabyte.
 *
 * @param longestSide in units of the SVG, which are pixels at `SVG_BASE_DENSITY`
 */
export function svgDensity(longestSide: number): number {
  const side = Math.min(Math.max(longestSide, SVG_SIDE.least), SVG_SIDE.most);
  // The decoder takes densities of 1 to 100000.
  return Math.min(Math.max((SVG_BASE_DENSITY * side) / longestSide, 1), 100_000);
}

/**
 * How many pictures, shapes and style sheets an SVG wants from elsewhere. None is ever read: the decoder is given
 * no base address. They are counted so that the receipt can say that something is missing.
 */
export function countExternalReferences(svg: Uint8Array): number {
  const text = new TextDecoder().decode(svg);
  let count = 0;
  for (const pattern of EXTERNAL) count += [...text.matchAll(pattern)].length;
  return count;
}

const ELSEWHERE = String.raw`\s*(?!#|data:|\s)[^"'\s)]`;
// `[^<>]*` cannot run past one tag, which keeps the search linear.
const EXTERNAL = [
  new RegExp(String.raw`<(?:\w+:)?(?:image|use|feImage)\s[^<>]{0,10000}?href\s*=\s*["']${ELSEWHERE}`, "gi"),
  new RegExp(String.raw`@import\s+(?:url\()?["']?${ELSEWHERE}`, "gi"),
  new RegExp(String.raw`url\(["']?${ELSEWHERE}`, "gi"),
  new RegExp(String.raw`<!ENTITY\s[^<>"']{0,200}(?:SYSTEM|PUBLIC)\s`, "g"),
  new RegExp(String.raw`<\?xml-stylesheet\s`, "g"),
  new RegExp(String.raw`<(?:\w+:)?include\s[^<>]{0,10000}?href\s*=`, "gi"),
];
