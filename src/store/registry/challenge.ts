/** One way to be let in, as a server offers it in `WWW-Authenticate`. */
export interface Challenge {
  /** "bearer", "basic": in small letters. */
  scheme: string;
  /** Names in small letters: realm, service, scope. */
  parameters: Readonly<Record<string, string>>;
}

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+";
const PARAMETER = new RegExp(String.raw`^(${TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|(${TOKEN}))`, "s");
const SCHEME = new RegExp(String.raw`^(${TOKEN})(?:\s+|$|(?=,))`);

/**
 * The challenges of a `WWW-Authenticate` header, by the grammar of RFC 9110: several in one header, quoted strings with
 * commas and escapes. What follows a mistake is left out.
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let rest = skip(header);
  while (rest !== "") {
    const parameter = challenges.length > 0 ? PARAMETER.exec(rest) : null;
    const scheme = parameter === null ? SCHEME.exec(rest) : null;
    if (parameter !== null) {
      const [, name = "", quoted, plain = ""] = parameter;
      const { parameters } = challenges.at(-1) as (typeof challenges)[number];
      parameters[name.toLowerCase()] ??= quoted?.replaceAll(/\\(.)/gs, "$1") ?? plain;
    } else if (scheme !== null) {
      challenges.push({ scheme: (scheme[1] ?? "").toLowerCase(), parameters: Object.create(null) as {} });
    } else {
      break;
    }
    rest = skip(rest.slice((parameter ?? scheme)?.[0].length));
  }
  return challenges;
}

function skip(text: string): string {
  return text.replace(/^[\s,]+/, "");
}
