import { type GoValue, isTrue, sortedKeys } from "./go-value.ts";

/** As Go's `json.Marshal`: no spaces, maps sorted by key, `<`, `>`, `&` escaped. */
export function goJson(value: GoValue): string {
  if (value === undefined) return "null";
  if (typeof value === "string") return goJsonString(value);
  if (typeof value !== "object") return Object.is(value, -0) ? "-0" : String(value);
  if (value.kind === "list" && value.unwraps === true && value.items.length === 1)
    return goJson(value.items[0]);
  if (value.kind === "list") return value.isNil === true ? "null" : `[${value.items.map(goJson).join(",")}]`;
  if (value.kind === "map") {
    const keys = value.ordered === true ? [...value.entries.keys()] : sortedKeys(value);
    return `{${keys.map((key) => `${goJsonString(key)}:${goJson(value.entries.get(key))}`).join(",")}}`;
  }
  const members = value.json.flatMap(([field, name, omitsEmpty = false]) => {
    const item = value.fields.get(field);
    return omitsEmpty && !isTrue(item) ? [] : [`${goJsonString(name)}:${goJson(item)}`];
  });
  return `{${members.join(",")}}`;
}

function goJsonString(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]|\\ud[89a-f][\da-f]{2}/g,
    // Half of a surrogate pair is no letter.
    (found) => (found.length > 1 ? "\\ufffd" : `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
}
