const MOST_CHARACTERS = 200;

/** What a server wrote, fit for a message: one line, no control or direction characters, at most 200 characters. */
export function serverText(text: string): string {
  const line = text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]+/gu, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)}…` : line;
}

/** An address fit for a message: without its query, which may hold a signature. */
export function showUrl(url: URL): string {
  return serverText(`${url.origin}${url.pathname === "/" ? "" : url.pathname}`);
}
