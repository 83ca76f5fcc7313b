import { homedir } from "node:os";
import { cutOut } from "./cut-out.ts";
import {
  beginsLikePath,
  endsLikeMedia,
  endsLikePicture,
  filePathOfUrl,
  isExplicitPath,
  LONGEST_PATH,
  mediaEndings,
  readQuoted,
  unescapeShell,
} from "./path-syntax.ts";

export interface FileReference {
  /** The path to open: `~/` expanded, quotes, escapes and `file:` undone. */
  path: string;
  /** As the person wrote it, without quotes and backslashes: what messages should call it. */
  written: string;
}

export interface FoundAttachments {
  /** The line without the attachments' paths, trimmed. */
  prompt: string;
  /** Files that exist, in the order of the line, each once. */
  attachments: FileReference[];
  /** What is written like a path and leads nowhere: the caller must not send the line. */
  missing: FileReference[];
  /** Addresses of media on the network, which stay in the prompt: nothing is fetched. */
  urls: string[];
}

/** A place in the line that names an existing file. */
interface Span extends FileReference {
  start: number;
  end: number;
}

/** At one place at most this many endings are tried. */
const MOST_ENDINGS = 16;
/** Names with blanks and commas that are tried in one line, over all words. Keeps the work linear. */
const MOST_GUESSES = 4096;

/** Closing punctuation that is taken off the end of a word. */
const MOST_PUNCTUATION = 32;

const BLANK = /\s/;
/** A path may begin after one of these within a word: `(./x.png)`, `src="x.png"`, `a.png,b.png`. */
const OPENING = /[([{<,;:=|@*!，：；（「『【《]/;
const QUOTE = /['"“‘«]/;

/**
 * Finds the files that a typed line refers to.
 *
 * - A reference is unquoted (`x.png`, `./x.png`, `../x.png`, `~/x.png`, `/tmp/x.png`, `C:\x.png`), in quotes
 *   (`'…'`, `"…"`, `“…”`), escaped for a shell (`my\ cat.png`), or a `file://` URL. Terminals write one of these when
 *   files are dropped on them. Case of the ending does not matter.
 * - Unquoted names may contain blanks: from the leftmost word on, the longest text that exists as a file is taken.
 * - Punctuation after a name is not part of it, unless such a file exists.
 * - A word with the ending of a picture, or one that begins like a path and has any extension, that does not exist
 *   is `missing`. Other words are text: `and/or`, `1/2`, `v1.5`, `/etc/hosts`, `.png`, `*.png`, `report.pdf`.
 * - Text in backticks is never a reference: write `` `x.png` `` to talk about a name.
 * - Addresses (`https://…`) are never paths; those of media are reported in `urls`.
 *
 * Never throws, and takes linear time.
 *
 * @param exists whether a path leads to something; called at most once per path
 * @param home what `~` stands for
 */
export function findAttachments(
  line: string,
  exists: (path: string) => boolean,
  home: string = homedir(),
): FoundAttachments {
  const endings = mediaEndings(line);
  const known = new Map<string, boolean>();
  const spans: Span[] = [];
  const missing: FileReference[] = [];
  const urls: string[] = [];
  let nextEnding = 0;
  let guesses = 0;

  let at = 0;
  let wordStart = 0;
  let wordEnd = 0;
  while (at < line.length) {
    if (at >= wordEnd) {
      if (BLANK.test(line.charAt(at))) {
        at++;
        continue;
      }
      wordStart = at;
      wordEnd = endOfWord(line, at);
    }
    const end = skipCode(at) ?? takeQuoted(at) ?? takeUrl(at) ?? takePath(at);
    if (end === undefined) {
      at = nextOpening(line, at, wordEnd);
      if (at === wordEnd) noteMissing(wordStart, wordEnd);
    } else {
      // What stands before it in the same word may be a path as well: `lost.png,found.png`.
      noteMissing(wordStart, at);
      wordStart = at = end;
    }
  }
  const attachments = new Map<string, FileReference>();
  for (const { path, written } of spans) if (!attachments.has(path)) attachments.set(path, { path, written });
  return { prompt: cutOut(line, spans), attachments: [...attachments.values()], missing, urls };

  /** Each taker below looks at `start` and returns the index behind what it took, or undefined. */
  function skipCode(start: number): number | undefined {
    const fence = /`+/y;
    fence.lastIndex = start;
    const ticks = fence.exec(line)?.[0];
    if (ticks === undefined) return undefined;
    const close = line.indexOf(ticks, start + ticks.length);
    return close === -1 ? undefined : close + ticks.length;
  }

  function takeQuoted(start: number): number | undefined {
    if (!QUOTE.test(line.charAt(start))) return undefined;
    const quoted = readQuoted(line, start);
    if (quoted === undefined) return undefined;
    const { values, end } = quoted;
    const paths = values.filter(
      (value) => /^file:/i.test(value) || endsLikeMedia(value) || isExplicitPath(value),
    );
    const found = paths.flatMap(meanings).find(({ path }) => probe(path));
    if (found !== undefined) {
      spans.push({ ...found, start, end });
      return end;
    }
    // Words in quotes may be a path that is wrong, or a sentence with paths in it.
    const [first] = paths;
    const isSentence =
      first === undefined ||
      (BLANK.test(first) && !(isExplicitPath(first) && endingsWithin(start, end) <= 1));
    if (isSentence || /^\w{2,}:\/\//.test(first) || !(endsLikePicture(first) || isExplicitPath(first)))
      return undefined;
    missing.push(meanings(first)[0]!);
    return end;
  }

  function takeUrl(start: number): number | undefined {
    const pattern = /(?:[a-z][a-z0-9+.-]{1,20}:\/\/|www\.)[^\s"'<>`“”]*/iy;
    pattern.lastIndex = start;
    const match = pattern.exec(line)?.[0];
    if (match === undefined || /^file:/i.test(match)) return undefined;
    const url = match.replace(/[.,;:!?)\]}*]{1,20}$/, "");
    if (endsLikeMedia(url.replace(/[?#].*$/s, ""))) urls.push(url);
    return start + match.length;
  }

  function takePath(start: number): number | undefined {
    while ((endings[nextEnding] ?? Infinity) <= start) nextEnding++;
    const near = endings
      .slice(nextEnding, nextEnding + MOST_ENDINGS)
      .filter((end) => end - start <= LONGEST_PATH);
    for (const end of near.reverse()) {
      if (end !== endings[nextEnding] && ++guesses > MOST_GUESSES) continue;
      if (takeIfExists(start, end)) return end;
    }
    // What begins like a path may have any extension; opening it tells the person what it is instead.
    if (!beginsLikePath(line.slice(start, start + 8))) return undefined;
    const end = trimPunctuation(line, start, Math.min(wordEnd, start + LONGEST_PATH));
    return isExplicitPath(line.slice(start, end)) && takeIfExists(start, end) ? end : undefined;
  }

  function takeIfExists(start: number, end: number): boolean {
    const found = meanings(line.slice(start, end)).find(({ path }) => probe(path));
    if (found === undefined) return false;
    spans.push({ ...found, start, end });
    return true;
  }

  /** Records a word that nobody took, if it is written like a path. */
  function noteMissing(from: number, to: number): void {
    let start = from;
    while (start < to && (OPENING.test(line.charAt(start)) || QUOTE.test(line.charAt(start)))) start++;
    if (start >= to) return;
    const lastEnding = endings[countUpTo(endings, to) - 1] ?? 0;
    const end = lastEnding > start ? lastEnding : trimPunctuation(line, start, to);
    const [reference] = meanings(line.slice(start, end));
    if (reference === undefined) return;
    if (endsLikePicture(reference.written) || isExplicitPath(reference.written)) missing.push(reference);
  }

  /** What a piece of text may stand for, most likely first. */
  function meanings(text: string): FileReference[] {
    const path = /^file:/i.test(text) ? filePathOfUrl(text) : undefined;
    if (path !== undefined) return [{ path, written: text }];
    const plain = unescapeShell(text);
    return (plain === text ? [text] : [plain, text]).map((written) => ({
      path: /^~[/\\]/.test(written) ? home + written.slice(1) : written,
      written,
    }));
  }

  function probe(path: string): boolean {
    let answer = known.get(path);
    if (answer === undefined) known.set(path, (answer = exists(path)));
    return answer;
  }

  function endingsWithin(start: number, end: number): number {
    return countUpTo(endings, end) - countUpTo(endings, start);
  }
}

/** Index behind the word at `start`. A blank behind a backslash belongs to the word. */
function endOfWord(line: string, start: number): number {
  let at = start;
  while (at < line.length && !BLANK.test(line.charAt(at))) at += line.charAt(at) === "\\" ? 2 : 1;
  return Math.min(at, line.length);
}

/** The next place behind `at` where a path may begin, or the end of the word. */
function nextOpening(line: string, at: number, wordEnd: number): number {
  let index = at;
  // A run of quotes has been looked at as one.
  while (index < wordEnd && QUOTE.test(line.charAt(index))) index++;
  if (index > at) return index;
  for (; index < wordEnd; index += line.charAt(index) === "\\" ? 2 : 1) {
    if (OPENING.test(line.charAt(index))) return index + 1;
  }
  return wordEnd;
}

/** `end` moved in front of the punctuation that closes a sentence, a bracket or a quote. */
function trimPunctuation(line: string, start: number, end: number): number {
  const least = Math.max(start, end - MOST_PUNCTUATION);
  let at = end;
  while (at > least && /[.,;:!?)\]}>'"”’»*。，？！）」]/.test(line.charAt(at - 1))) at--;
  return at;
}

/** How many of the ascending numbers are at most `limit`. */
function countUpTo(ascending: readonly number[], limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
