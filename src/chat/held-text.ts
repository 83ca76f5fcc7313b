/** Length of the longest end of a text with which one of some tags may begin, whole tags not counted. */
export function possibleTagLength(text: string, tags: readonly string[]): number {
  let longest = 0;
  for (const tag of tags) {
    for (let length = Math.min(tag.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(tag.slice(0, length))) longest = length;
    }
  }
  return longest;
}

/** Length of the white space at a text's end. */
export function trailingSpace(text: string): number {
  return text.length - text.trimEnd().length;
}
