/**
 * What a Go template (`text/template`) is made of, in the subset that Ollama's published templates use.
 * `line` counts from 1.
 */
export type TemplateNode =
  | { kind: "text"; text: string }
  | { kind: "action"; pipeline: Pipeline }
  | {
      kind: "if" | "with" | "range";
      pipeline: Pipeline;
      body: readonly TemplateNode[];
      otherwise: readonly TemplateNode[];
    }
  | { kind: "break" | "continue" };

/** `$a, $b := first | second arg | third`: each command gets the result of the one before as its last argument. */
export interface Pipeline {
  line: number;
  /** Names of variables that get the result, with their `$`. */
  variables: readonly string[];
  /** `=` instead of `:=`. */
  assigns: boolean;
  commands: readonly (readonly [Operand, ...Operand[]])[];
}

export type Operand =
  | { kind: "dot" }
  | { kind: "nil" }
  /** A bigint is Go's int, a number its float64. */
  | { kind: "constant"; value: boolean | bigint | number | string }
  /** `.A.B` of dot. */
  | { kind: "field"; path: readonly string[] }
  /** `$x.A.B`; `$` is what the template was given. */
  | { kind: "variable"; name: string; path: readonly string[] }
  /** `(…).A.B`. */
  | { kind: "chain"; of: Operand; path: readonly string[] }
  | { kind: "function"; name: string }
  | { kind: "pipeline"; pipeline: Pipeline };

/** Why a template cannot be read or rendered, for people. */
export class GoTemplateError extends Error {
  override readonly name = "GoTemplateError";
}

/** All fields and variables that stand in a template: what of its data it looks at. */
export function namesIn(nodes: readonly TemplateNode[]): ReadonlySet<string> {
  const names = new Set<string>();
  const readOperand = (operand: Operand): void => {
    if ("path" in operand) for (const name of operand.path) names.add(name);
    if (operand.kind === "chain") readOperand(operand.of);
    if (operand.kind === "pipeline") readPipeline(operand.pipeline);
  };
  const readPipeline = ({ commands }: Pipeline): void => commands.flat().forEach(readOperand);
  const read = (node: TemplateNode): void => {
    if ("pipeline" in node) readPipeline(node.pipeline);
    if ("body" in node) [...node.body, ...node.otherwise].forEach(read);
  };
  nodes.forEach(read);
  return names;
}
