import { MullError } from "../../spec/errors.ts";

/** @param param place in the body, such as "messages[2].content" */
export function invalidRequest(param: string, message: string, hint?: string): MullError {
  return new MullError("invalid_argument", message, {
    ...(hint === undefined ? {} : { hint }),
    details: { param },
  });
}
