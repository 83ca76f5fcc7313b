const PAIRS: Partial<Record<string, string>> = { "(": ")", "[": "]", "<": ">", "{": "}", '"': '"', "'": "'" };

/**
 * A line without some spans of it, as a person would have written it: brackets that enclosed nothing else go too,
 * no doubled blanks are left, and none before punctuation ("what is ./x.png?" becomes "what is?").
 *
 * @param spans disjoint, in order; `end` is the index behind the last character
 */
export function cutOut(line: string, spans: readonly { start: number; end: number }[]): string {
  const kept: string[] = [];
  let from = 0;
  let needsBlank = false;
  for (const span of spans) {
    let { start, end } = span;
    while (start > from && PAIRS[line.charAt(start - 1)] === line.charAt(end)) {
      start--;
      end++;
    }
    // "@./x.png" is how other programs mark a file.
    if (start > from && line.charAt(start - 1) === "@") start--;
    const before = skipBlanks(line, start, from, -1);
    const after = skipBlanks(line, end, line.length, 1);
    keep(line.slice(from, before));
    needsBlank ||= before < start || after > end;
    from = after;
  }
  keep(line.slice(from));
  return kept.join("").trim();

  function keep(piece: string): void {
    if (piece === "") return;
    if (needsBlank && kept.length > 0 && !/^[\s.,;:!?]/.test(piece)) kept.push(" ");
    kept.push(piece);
    needsBlank = false;
  }
}

/** Moves over blanks from `at` to `limit`; newlines are structure and stay. */
function skipBlanks(line: string, at: number, limit: number, step: 1 | -1): number {
  let index = at;
  while (index !== limit && /[ \t]/.test(line.charAt(step === 1 ? index : index - 1))) index += step;
  return index;
}
