import type { Modelfile } from "./modelfile.ts";
import { parameterTexts } from "./parameters.ts";
import { type TextStyle, writeTextValue } from "./text-value.ts";

/**
 * The text of a Modelfile; `parseModelfile` reads the same from it. Ollama reads it too, unless it has a PROJECTOR or a
 * text in which a line other than the last ends in `"""`.
 *
 * @param comments lines to stand before it, without `#`
 */
export function printModelfile(modelfile: Modelfile, comments: readonly string[] = []): string {
  const { from, projector, adapters, draft, template, system, renderer, parser, requires } = modelfile;
  const line = (instruction: string, text: string | undefined, style: TextStyle = "bare"): string[] =>
    text === undefined ? [] : [`${instruction} ${writeTextValue(text, style)}`];
  const lines = [
    ...comments.map((comment) => `# ${comment.replaceAll(/[\r\n]+/g, " ")}`),
    ...from.flatMap((model) => line("FROM", model)),
    ...line("PROJECTOR", projector),
    ...adapters.flatMap((adapter) => line("ADAPTER", adapter)),
    ...line("DRAFT", draft),
    ...line("TEMPLATE", template, "fenced"),
    ...line("SYSTEM", system, "fenced"),
    ...line("RENDERER", renderer),
    ...line("PARSER", parser),
    ...parameterTexts(modelfile.parameters).flatMap(([name, text]) =>
      line(`PARAMETER ${name}`, text, name === "stop" ? "quoted" : "bare"),
    ),
    ...line("REQUIRES", requires),
    ...modelfile.licenses.flatMap((license) => line("LICENSE", license, "fenced")),
    ...modelfile.messages.flatMap(({ role, content }) => line(`MESSAGE ${role}`, content, "fenced")),
  ];
  return `${lines.join("\n")}\n`;
}
