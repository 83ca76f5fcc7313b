import { type GoValue, sortedKeys, typeName } from "./go-value.ts";
import { GoTemplateError } from "./syntax.ts";

/** As Go's `fmt` prints with `%v`. */
export function goPrint(value: GoValue): string {
  if (value === undefined) return "<nil>";
  if (typeof value === "number") return goFloat(value);
  if (typeof value !== "object") return String(value);
  if (value.text !== undefined) return value.text();
  if (value.kind === "list") return `[${value.items.map(goPrint).join(" ")}]`;
  if (value.kind === "struct") return `{${[...value.fields.values()].map(goPrint).join(" ")}}`;
  return `map[${sortedKeys(value)
    .map((key) => `${key}:${goPrint(value.entries.get(key))}`)
    .join(" ")}]`;
}

/** The shortest digits, with an exponent from 1e6 up and below 1e-4. */
function goFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "-Inf" : "+Inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 6) return plain(value, digits, power);
  return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/** JavaScript writes small ones with an exponent earlier. */
function plain(value: number, digits: string, power: number): string {
  if (power >= 0) return value.toString();
  const sign = digits.startsWith("-") ? "-" : "";
  return `${sign}0.${"0".repeat(-power - 1)}${digits.replace(/[-.]/g, "")}`;
}

/** `print`: spaces between values of which neither is a string. */
export function goSprint(values: readonly GoValue[]): string {
  return values
    .map((value, place) => {
      const before = values[place - 1];
      const spaced = place > 0 && typeof value !== "string" && typeof before !== "string";
      return (spaced ? " " : "") + goPrint(value);
    })
    .join("");
}

const VERB = /%(?<left>-?)(?<width>\d+|\*)?(?<verb>.?)/gsu;
const VERBS = "vsdqt%";
/** Go's own limit to a width. */
const WIDEST = 1_000_000;

/**
 * `printf` with `%s`, `%v`, `%d`, `%q`, `%t` and `%%`, and widths. What does not fit is said in the text, as Go does.
 *
 * @throws GoTemplateError for other verbs and flags
 */
export function goSprintf(format: string, values: readonly GoValue[]): string {
  let used = 0;
  const text = format.replace(
    VERB,
    (whole: string, left: string, given: string | undefined, verb: string) => {
      if (verb === "") return "%!(NOVERB)";
      if (!VERBS.includes(verb))
        throw new GoTemplateError(`it uses printf with ${whole}, which mull does not render`);
      const star = given === "*" ? values[used++] : BigInt(given ?? 0);
      const isWidth = typeof star === "bigint" && star <= WIDEST && star >= -WIDEST;
      const fault = isWidth ? "" : "%!(BADWIDTH)";
      if (verb === "%") return `${fault}%`;
      if (used >= values.length) return `${fault}%!${verb}(MISSING)`;
      return fault + pad(goFormat(verb, values[used++]), isWidth ? Number(star) : 0, left !== "");
    },
  );
  if (used >= values.length) return text;
  const extra = values
    .slice(used)
    .map((value) => (value === undefined ? "<nil>" : `${typeName(value)}=${goPrint(value)}`));
  return `${text}%!(EXTRA ${extra.join(", ")})`;
}

/** To a width in code points; a negative one has the spaces behind. */
function pad(text: string, width: number, left: boolean): string {
  const spaces = " ".repeat(Math.max(0, Math.abs(width) - (width === 0 ? 0 : lengthOf(text))));
  return left || width < 0 ? text + spaces : spaces + text;
}

function goFormat(verb: string, value: GoValue): string {
  if (verb === "v") return goPrint(value);
  if (value === undefined) return `%!${verb}(<nil>)`;
  if (typeof value === "object" && value.text !== undefined && (verb === "s" || verb === "q")) {
    return goFormat(verb, value.text());
  }
  if (typeof value === "object" && value.kind === "list") {
    return `[${value.items.map((item) => goFormat(verb, item)).join(" ")}]`;
  }
  if (typeof value === "string" && verb === "s") return value;
  if (typeof value === "string" && verb === "q") return goQuote(value);
  if (typeof value === "bigint" && verb === "d") return String(value);
  if (typeof value === "boolean" && verb === "t") return String(value);
  if (typeof value === "object") return fallBack(verb, value);
  return `%!${verb}(${typeName(value)}=${goPrint(value)})`;
}

/** Maps and structs are formatted part by part. */
function fallBack(verb: string, value: GoValue & object): string {
  if (value.kind === "map") {
    return `map[${sortedKeys(value)
      .map((key) => `${goFormat(verb, key)}:${goFormat(verb, value.entries.get(key))}`)
      .join(" ")}]`;
  }
  return value.kind === "struct"
    ? `{${[...value.fields.values()].map((item) => goFormat(verb, item)).join(" ")}}`
    : goPrint(value);
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}

const SHORT: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  '"': '\\"',
  "\\": "\\\\",
};

/** As `strconv.Quote`: letters, marks, numbers, punctuation, symbols and the space stay. */
function goQuote(text: string): string {
  const quoted = text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]|["\\]/gu, (letter) => {
    const code = letter.codePointAt(0) as number;
    if (SHORT[letter] !== undefined) return SHORT[letter];
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000
      ? `\\u${code.toString(16).padStart(4, "0")}`
      : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return `"${quoted}"`;
}
