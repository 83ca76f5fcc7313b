/**
 * What begins an action of a Go template and none of Jinja's: a field, a variable, a comment, a keyword of its own, or
 * a function with a space and an argument behind it; `{{ name .Field }}` is none of Jinja's whatever the name.
 */
const GO_ACTION =
  /\{\{(?:-(?=\s))?\s*(?:[.$]|\/\*|(?:if|range|with|end|else|break|continue|define|template|block)(?=[\s}])|(?:and|or|not|eq|ne|lt|le|gt|ge|len|index|slice|print|printf|println|json)\s+[.$("`\d]|[a-z]\w*\s+[.$][a-z])/i;

/** The language of a template's source: Jinja, as GGUF files have it, or Go's, as Ollama's Modelfiles have it. */
export function templateLanguage(source: string): "jinja" | "go" {
  return !source.includes("{%") && GO_ACTION.test(source) ? "go" : "jinja";
}
