/**
 * Patterns of the formats that are enforced (RFC 3339 and RFC 4122): days exist, and seconds are 00 to 59.
 * Other formats are annotations, as in JSON Schema 2020-12.
 */
const DATE = [
  "\\d{4}-(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])",
  "\\d{4}-(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)",
  "\\d{4}-02-(?:0[1-9]|1\\d|2[0-8])",
  // 29 February: years divisible by 4, of full centuries those divisible by 400.
  "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29",
].join("|");
const TIME = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";

export const FORMAT_PATTERNS: ReadonlyMap<string, string> = new Map([
  ["date", `^(?:${DATE})$`],
  ["time", `^${TIME}$`],
  ["date-time", `^(?:${DATE})T${TIME}$`],
  ["uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"],
]);
