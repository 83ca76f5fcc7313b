import { MullError } from "../../spec/errors.ts";

/** A schema that cannot be turned into a grammar without allowing more than it says. */
export function schemaError(keyword: string, pointer: string, why: string): MullError {
  return new MullError("invalid_argument", `The schema's "${keyword}" at ${pointer} ${why}.`, {
    hint: "Leave the keyword out, and check the answer against it yourself.",
    details: { keyword, pointer },
  });
}

export function unsatisfiable(pointer: string): MullError {
  return new MullError("invalid_argument", `No value fits the schema at ${pointer}.`, {
    hint: "Check for limits that exclude each other, and for objects that must contain themselves.",
    details: { pointer },
  });
}
