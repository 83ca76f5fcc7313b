/** How file names look in running text, and how shells and terminals disguise them. Pure string functions. */

/** Endings of pictures: a bare word with one of these is a file name. */
const PICTURE = "png|jpe?g|jpe|jfif|webp|gif|avif|tiff?|svg|hei[cf]|bmp|ico|jxl|jp2|psd";
/** Other media: mull refuses them by name, but "report.pdf" in a sentence need not be a file. */
const OTHER_MEDIA = "pdf|mp4|mov|webm|mkv|avi|wav|mp3|flac|ogg|m4a|opus";

const PICTURE_EXTENSION = new RegExp(`^(?:${PICTURE})$`, "i");
const MEDIA_EXTENSION = new RegExp(`^(?:${PICTURE}|${OTHER_MEDIA})$`, "i");
const ANY_EXTENSION = /^[a-z][a-z0-9]{1,4}$/i;
// After the ending: no letter, digit or path that goes on, and no second ending.
const ENDING_IN_TEXT = new RegExp(String.raw`\.(?:${PICTURE}|${OTHER_MEDIA})(?![\w\-/\\]|\.\w)`, "gi");
const BEGINNING = /^(?:(?:\.{1,2}|~)[/\\]|\/|\\\\|[a-z]:[/\\]|file:\/)/i;

/** True for `x.png` and `a/b.JPG`; false for `.png` alone. */
export function endsLikePicture(text: string): boolean {
  return PICTURE_EXTENSION.test(extension(text));
}

/** True for pictures, sounds, videos and documents. */
export function endsLikeMedia(text: string): boolean {
  return MEDIA_EXTENSION.test(extension(text));
}

/** True for what begins with `./`, `../`, `~/`, `/`, `C:\`, `\\` or `file:/`. */
export function beginsLikePath(text: string): boolean {
  return BEGINNING.test(text);
}

/** True for what begins like a path and ends in any file name extension. */
export function isExplicitPath(text: string): boolean {
  return beginsLikePath(text) && ANY_EXTENSION.test(extension(text));
}

/** What follows the last dot of a path's last part; empty if nothing but dots and blanks precedes it. */
function extension(path: string): string {
  const name = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
  const dot = name.lastIndexOf(".");
  return dot > 0 && /[^.\s]/.test(name.slice(0, dot)) ? name.slice(dot + 1) : "";
}

/** Indices behind every media ending in a line, in order. */
export function mediaEndings(line: string): number[] {
  return [...line.matchAll(ENDING_IN_TEXT)].map((match) => match.index + match[0].length);
}

/** Undoes a shell's backslashes. Those before letters and digits stay: they separate folders on Windows. */
export function unescapeShell(text: string): string {
  return text.replace(/\\([^A-Za-z0-9])/gs, "$1");
}

/** The path in a `file:` URL of this machine, or undefined. Blanks may be left unescaped, as people paste them. */
export function filePathOfUrl(url: string): string | undefined {
  const rest = /^file:\/\/(?:localhost)?(\/.*)$/is.exec(url)?.[1];
  if (rest === undefined) return undefined;
  try {
    const path = decodeURIComponent(rest);
    return /^\/[a-z]:/i.test(path) ? path.slice(1) : path;
  } catch {
    return undefined;
  }
}

/** Longest path that is looked for in text, in characters: the PATH_MAX of macOS. Longer ones go by `-f`. */
export const LONGEST_PATH = 1024;
const CLOSING: Partial<Record<string, string>> = { "“": "”", "‘": "’", "«": "»" };

/**
 * A quoted word that begins at `start`: 'a b', "a b", “a b”, and the way shells write a quote within quotes:
 * 'it'\''s'. Plain text never follows directly, else it was an apostrophe.
 *
 * @returns the possible meanings, most likely first, and the index behind the word; undefined if it is not one
 */
export function readQuoted(line: string, start: number): { values: string[]; end: number } | undefined {
  const closing = CLOSING[line.charAt(start)];
  if (closing !== undefined) {
    const close = line.slice(start, start + LONGEST_PATH).indexOf(closing);
    return close === -1
      ? undefined
      : { values: [line.slice(start + 1, start + close)], end: start + close + 1 };
  }
  let value = "";
  let at = start;
  const last = Math.min(line.length, start + LONGEST_PATH);
  while (at < last) {
    const quote = line.charAt(at);
    if (quote === "\\" && at > start && at + 1 < last) {
      value += line.charAt(at + 1);
      at += 2;
    } else if (quote === "'" || quote === '"') {
      let from = ++at;
      while (at < last && line.charAt(at) !== quote) {
        if (quote === '"' && line.charAt(at) === "\\" && /["\\$`]/.test(line.charAt(at + 1))) {
          value += line.slice(from, at);
          from = ++at;
        }
        at++;
      }
      if (at >= last) return undefined;
      value += line.slice(from, at++);
    } else {
      break;
    }
  }
  if (at === start || /[\p{L}\p{N}_]/u.test(line.charAt(at))) return undefined;
  const literal = line.slice(start + 1, at - 1);
  return { values: literal === value ? [value] : [value, literal], end: at };
}
