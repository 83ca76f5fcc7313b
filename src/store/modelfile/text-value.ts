/**
 * Values of a Modelfile's instructions. Ollama's forms: bare to the end of the line, `"…"`, and `"""…"""`; a quoted one
 * may have many lines, and ends at the first line that ends in its quotes. Quotes elsewhere are text. Ours beside them,
 * for texts that have such a line in the middle:
 *
 *     SYSTEM <<END
 *     any text
 *     END
 */
export interface TextValue {
  text: string;
  /** Where reading goes on: at the end of the line in which the value ends. */
  end: number;
}

const FENCE = '"""';
const HERE = /^<<([A-Za-z_]\w*)$/;

/** @returns undefined when quotes are opened and never closed */
export function readTextValue(source: string, start: number): TextValue | undefined {
  const first = lineEnd(source, start);
  const line = source.slice(start, first).trim();
  const word = HERE.exec(line)?.[1];
  if (word !== undefined) return readHere(source, first, word);
  const quote = line.startsWith(FENCE) ? FENCE : line.startsWith('"') ? '"' : undefined;
  if (quote === undefined) return { text: line, end: first };
  const open = source.indexOf(quote, start) + quote.length;
  for (let from = open, end = first; ; from = end + 1, end = lineEnd(source, from)) {
    const trimmed = source.slice(from, end).trimEnd();
    if (trimmed.endsWith(quote)) {
      return { text: source.slice(open, from + trimmed.length - quote.length), end };
    }
    if (end >= source.length) return undefined;
  }
}

function readHere(source: string, first: number, word: string): TextValue | undefined {
  const start = source.startsWith("\r\n", first) ? first + 2 : first + 1;
  for (let from = start; from <= source.length;) {
    const newline = source.indexOf("\n", from);
    const end = newline < 0 ? source.length : newline;
    if (source.slice(from, end) === word)
      return { text: source.slice(start, Math.max(start, from - 1)), end };
    from = end + 1;
  }
  return undefined;
}

function lineEnd(source: string, from: number): number {
  NEWLINE.lastIndex = from;
  return NEWLINE.exec(source)?.index ?? source.length;
}

const NEWLINE = /[\r\n]/g;

/** Which of Ollama's forms is tried first. */
export type TextStyle = "bare" | "quoted" | "fenced";

/** A form that reads as this text. */
export function writeTextValue(text: string, style: TextStyle): string {
  const oneLine = !/[\r\n]/.test(text) && !text.startsWith('"');
  if (style === "bare" && oneLine && text !== "" && text === text.trim() && !HERE.test(text)) return text;
  if (style === "quoted" && oneLine) return `"${text}"`;
  const endsInside = text
    .split(/[\r\n]/)
    .slice(0, -1)
    .some((line) => line.trimEnd().endsWith(FENCE));
  if (!endsInside) return `${FENCE}${text}${FENCE}`;
  const lines = text.split("\n");
  let word = "END";
  while (lines.includes(word)) word += "_";
  return `<<${word}\n${text}\n${word}`;
}
