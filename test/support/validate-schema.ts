/** JSON Schema by the words of its specification, as far as tests need it: to judge what grammars let through. */
export function isValid(value: unknown, schema: unknown, root: unknown = schema): boolean {
  if (typeof schema === "boolean") return schema;
  const keywords = schema as Record<string, never>;
  const check = (inner: unknown, item: unknown): boolean => isValid(item, inner, root);
  return Object.entries(keywords).every(([keyword, argument]: [string, unknown]) => {
    const list = argument as unknown[];
    const number = argument as number;
    const isNumber = typeof value === "number";
    const isString = typeof value === "string";
    const isArray = Array.isArray(value);
    const isObject = typeof value === "object" && value !== null && !isArray;
    const length = isString ? Array.from(value).length : 0;
    switch (keyword) {
      case "type":
        return [argument].flat().some((type) => typeOf(value).includes(type as string));
      case "enum":
        return list.some((item) => isSame(item, value));
      case "const":
        return isSame(argument, value);
      case "minimum":
        return !isNumber || value >= number;
      case "maximum":
        return !isNumber || value <= number;
      case "exclusiveMinimum":
        return !isNumber || value > number;
      case "exclusiveMaximum":
        return !isNumber || value < number;
      case "minLength":
        return !isString || length >= number;
      case "maxLength":
        return !isString || length <= number;
      case "pattern":
        return !isString || new RegExp(argument as string, "u").test(value);
      case "format":
        return !isString || hasFormat(value, argument as string);
      case "minItems":
        return !isArray || value.length >= number;
      case "maxItems":
        return !isArray || value.length <= number;
      case "prefixItems":
        return !isArray || value.every((item, place) => place >= list.length || check(list[place], item));
      case "items": {
        const rest = isArray
          ? value.slice((keywords["prefixItems"] as unknown[] | undefined)?.length ?? 0)
          : [];
        return rest.every((item) => check(argument, item));
      }
      case "required":
        return !isObject || list.every((name) => Object.hasOwn(value, name as string));
      case "properties":
        return (
          !isObject ||
          Object.entries(argument as object).every(
            ([name, inner]) => !Object.hasOwn(value, name) || check(inner, (value as never)[name]),
          )
        );
      case "additionalProperties":
        return (
          !isObject ||
          Object.entries(value).every(
            ([name, item]) => Object.hasOwn(keywords["properties"] ?? {}, name) || check(argument, item),
          )
        );
      case "propertyNames":
        return !isObject || Object.keys(value).every((name) => check(argument, name));
      case "minProperties":
        return !isObject || Object.keys(value).length >= number;
      case "maxProperties":
        return !isObject || Object.keys(value).length <= number;
      case "allOf":
        return list.every((inner) => check(inner, value));
      case "anyOf":
        return list.some((inner) => check(inner, value));
      case "oneOf":
        return list.filter((inner) => check(inner, value)).length === 1;
      case "$ref": {
        const keys = (argument as string).split("/").slice(1);
        return check(
          keys.reduce((inner, key) => (inner as never)[key], root),
          value,
        );
      }
      case "$defs":
        return true;
      default:
        throw new Error(`The test does not know the keyword ${keyword}.`);
    }
  });
}

function typeOf(value: unknown): string[] {
  if (value === null) return ["null"];
  if (Array.isArray(value)) return ["array"];
  return Number.isInteger(value) ? ["number", "integer"] : [typeof value];
}

function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return a === b;
  const [left, right] = [Object.entries(a), Object.entries(b)];
  return (
    Array.isArray(a) === Array.isArray(b) &&
    left.length === right.length &&
    left.every(([key, value]) => Object.hasOwn(b, key) && isSame(value, (b as never)[key]))
  );
}

function hasFormat(text: string, format: string): boolean {
  const isDay = (day: string): boolean =>
    /^\d{4}-\d\d-\d\d$/.test(day) && new Date(`${day}T00:00:00Z`).toJSON()?.slice(0, 10) === day;
  const isTime = (time: string): boolean => {
    const parts = /^(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|[+-](\d\d):(\d\d))$/.exec(time);
    const [hour = 99, minute = 99, second = 99, otherHour = 0, otherMinute = 0] = (parts ?? [])
      .slice(1)
      .map((part) => Number(part ?? 0));
    return [hour, otherHour].every((h) => h < 24) && [minute, second, otherMinute].every((m) => m < 60);
  };
  switch (format) {
    case "date":
      return isDay(text);
    case "time":
      return isTime(text);
    case "date-time":
      return isDay(text.slice(0, 10)) && text[10] === "T" && isTime(text.slice(11));
    case "uuid":
      return /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text);
    default:
      return true;
  }
}
