import { MullError } from "../spec/errors.ts";
import { parseGoTemplate } from "./go-template/parser.ts";
import { templateLanguage } from "./template-language.ts";

/**
 * Looks whether a Go template can be rendered here, before anybody waits for an answer. Jinja is only looked at while
 * it is rendered.
 *
 * @throws MullError `template_failed` with the line and what is wrong there
 */
export function checkTemplate(source: string): void {
  if (templateLanguage(source) === "jinja") return;
  try {
    parseGoTemplate(source);
  } catch (error) {
    throw new MullError(
      "template_failed",
      `The Go template cannot be rendered: ${(error as Error).message}.`,
      {
        hint: "docs/store.md says what of Go's templates is known. Or choose another with --template, such as vicuna_v1.",
        cause: error,
      },
    );
  }
}
