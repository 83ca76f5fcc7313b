import { FUNCTION_NAMES } from "./functions.ts";
import { characterLiteral, numberLiteral, stringLiteral } from "./literals.ts";
import { type Token, tokenize } from "./lexer.ts";
import { GoTemplateError, type Operand, type Pipeline, type TemplateNode } from "./syntax.ts";

/** Of blocks and parentheses. */
const DEEPEST = 200;

/** At a time. */
const MOST_VARIABLES = 1000;

const REFUSED_ACTIONS = ["define", "template", "block"];
const REFUSED_FUNCTIONS = ["call", "html", "js", "urlquery"];

/**
 * A Go template to its nodes.
 *
 * @throws GoTemplateError with the line; what `text/template` can do and this cannot is named
 */
export function parseGoTemplate(source: string): readonly TemplateNode[] {
  if (last?.source !== source) last = { source, nodes: new Parser(tokenize(source)).template() };
  return last.nodes;
}

/** A model has one template, and several ask what it says. */
let last: { source: string; nodes: readonly TemplateNode[] } | undefined;

class Parser {
  readonly #tokens: readonly Token[];
  #place = 0;
  /** Variables that are known here, innermost last. */
  #variables = ["$"];
  #ranges = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  template(): TemplateNode[] {
    const nodes = this.#list();
    const token = this.#peek();
    if (token !== undefined) this.#fail(`{{ ${token.value} }} without a beginning`);
    return nodes;
  }

  /** Nodes up to `{{ else` or `{{ end`, of which `{{` is taken, or to the end of the template. */
  #list(): TemplateNode[] {
    if (++this.#depth > DEEPEST) this.#fail(`blocks are nested deeper than ${DEEPEST} levels`);
    const nodes: TemplateNode[] = [];
    for (let token = this.#next(); token !== undefined; token = this.#next()) {
      if (token.kind === "text") {
        nodes.push({ kind: "text", text: token.value });
        continue;
      }
      const word = this.#peek();
      if (word?.kind === "word" && (word.value === "end" || word.value === "else")) break;
      nodes.push(this.#action());
    }
    this.#depth--;
    return nodes;
  }

  #action(): TemplateNode {
    const word = this.#peek();
    if (word?.kind === "word") {
      const { value } = word;
      if (REFUSED_ACTIONS.includes(value)) this.#refuse(value);
      if (value === "if" || value === "with" || value === "range") {
        this.#place++;
        return this.#block(value);
      }
      if (value === "break" || value === "continue") {
        this.#place++;
        if (this.#ranges === 0) this.#fail(`{{ ${value} }} outside of {{ range }}`);
        this.#close(value);
        return { kind: value };
      }
    }
    return { kind: "action", pipeline: this.#pipeline("an action", "}}") };
  }

  #block(kind: "if" | "with" | "range"): TemplateNode {
    const known = this.#variables.length;
    const pipeline = this.#pipeline(kind, "}}");
    if (kind === "range") this.#ranges++;
    const body = this.#list();
    if (kind === "range") this.#ranges--;
    const otherwise = this.#otherwise(kind);
    this.#variables.length = known;
    return { kind, pipeline, body, otherwise };
  }

  /** `end`; or `else`, what follows, and `end`. `else if` and `else with` share one end with what they continue. */
  #otherwise(kind: "if" | "with" | "range"): TemplateNode[] {
    const word = this.#next();
    if (word === undefined) return this.#fail(`{{ ${kind} }} without {{ end }}`);
    if (word.value === "end") {
      this.#close("end");
      return [];
    }
    const next = this.#peek();
    if (next?.value === kind && next.kind === "word" && kind !== "range") {
      this.#place++;
      return [this.#nested(kind)];
    }
    this.#close("else");
    const nodes = this.#list();
    const end = this.#next();
    if (end?.value !== "end") this.#fail(`{{ ${kind} }} without {{ end }}`);
    this.#close("end");
    return nodes;
  }

  #nested(kind: "if" | "with"): TemplateNode {
    if (++this.#depth > DEEPEST) this.#fail(`more than ${DEEPEST} alternatives follow each other`);
    const node = this.#block(kind);
    this.#depth--;
    return node;
  }

  #pipeline(context: string, end: "}}" | ")"): Pipeline {
    const { line } = this.#peek() ?? { line: this.#line() };
    const { variables, assigns } = this.#declarations(context);
    const commands: [Operand, ...Operand[]][] = [];
    for (;;) {
      const command = this.#command();
      const [first] = command;
      if (
        commands.length > 0 &&
        (first.kind === "dot" || first.kind === "nil" || first.kind === "constant")
      ) {
        this.#fail("only functions and fields can take a value from a pipeline");
      }
      commands.push(command);
      const token = this.#next();
      if (token?.value === end && (token.kind === "close" || token.kind === "sign")) break;
      if (token?.kind !== "sign" || token.value !== "|") this.#unexpected(token, context);
    }
    this.#variables.push(...variables);
    if (this.#variables.length > MOST_VARIABLES)
      this.#fail(`there are more than ${MOST_VARIABLES} variables`);
    return { line, variables, assigns, commands };
  }

  /** `$x :=`, `$x =`, and in a range `$i, $x :=`. */
  #declarations(context: string): Pick<Pipeline, "variables" | "assigns"> {
    const signAt = (offset: number): string | undefined => {
      const token = this.#tokens[this.#place + offset];
      return token?.kind === "sign" ? token.value : undefined;
    };
    const first = this.#peek();
    if (first?.kind !== "variable") return { variables: [], assigns: false };
    const variables = [first.value];
    let length = 1;
    if (signAt(1) === "," && context === "range") {
      const second = this.#tokens[this.#place + 2];
      if (second?.kind !== "variable") return this.#fail("{{ range }} can only set variables");
      variables.push(second.value);
      length = 3;
    }
    const sign = signAt(length);
    if (sign !== ":=" && sign !== "=") {
      return length === 3
        ? this.#fail("{{ range }} without := after its variables")
        : { variables: [], assigns: false };
    }
    if (sign === "=") for (const name of variables) this.#requireVariable(name);
    this.#place += length + 1;
    return { variables, assigns: sign === "=" };
  }

  #command(): [Operand, ...Operand[]] {
    const operands: Operand[] = [];
    for (let token = this.#peek(); token !== undefined; token = this.#peek()) {
      const ends = token.kind === "close" || (token.kind === "sign" && token.value !== "(");
      if (ends) break;
      if (operands.length > 0 && !token.spaced) this.#unexpected(token, "an action: a space is missing");
      operands.push(this.#operand());
    }
    const [first, ...more] = operands;
    return first === undefined
      ? this.#unexpected(this.#peek(), "an action: a value is missing")
      : [first, ...more];
  }

  #operand(): Operand {
    const operand = this.#term();
    const path = this.#fields();
    if (path.length === 0) return operand;
    if (operand.kind === "field" || operand.kind === "variable")
      return { ...operand, path: [...operand.path, ...path] };
    if (operand.kind === "pipeline" || operand.kind === "function")
      return { kind: "chain", of: operand, path };
    return this.#fail(`unexpected .${path[0]} after a value that has no fields`);
  }

  /** Fields that follow without a space. */
  #fields(): string[] {
    const path: string[] = [];
    for (let token = this.#peek(); token?.kind === "field" && !token.spaced; token = this.#peek()) {
      path.push(token.value);
      this.#place++;
    }
    return path;
  }

  #term(): Operand {
    const token = this.#next();
    switch (token?.kind) {
      case "dot":
        return { kind: "dot" };
      case "field":
        return { kind: "field", path: [token.value] };
      case "variable":
        this.#requireVariable(token.value);
        return { kind: "variable", name: token.value, path: [] };
      case "string":
        return { kind: "constant", value: this.#literal(() => stringLiteral(token.value)) };
      case "number":
        return { kind: "constant", value: this.#literal(() => numberLiteral(token.value)) };
      case "character":
        return { kind: "constant", value: this.#literal(() => characterLiteral(token.value)) };
      case "word":
        return this.#word(token.value);
      case "sign":
        if (token.value === "(") return this.#parenthesized();
        return this.#unexpected(token, "an action");
      default:
        return this.#unexpected(token, "an action");
    }
  }

  #parenthesized(): Operand {
    if (++this.#depth > DEEPEST) this.#fail(`parentheses are nested deeper than ${DEEPEST} levels`);
    const pipeline = this.#pipeline("parentheses", ")");
    this.#depth--;
    return { kind: "pipeline", pipeline };
  }

  #word(word: string): Operand {
    if (word === "nil") return { kind: "nil" };
    if (word === "true" || word === "false") return { kind: "constant", value: word === "true" };
    if (FUNCTION_NAMES.has(word)) return { kind: "function", name: word };
    if (REFUSED_FUNCTIONS.includes(word)) return this.#refuse(word);
    return this.#fail(`the function ${word} is not defined`);
  }

  #literal<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      return this.#fail((error as Error).message);
    }
  }

  #requireVariable(name: string): void {
    if (!this.#variables.includes(name)) this.#fail(`the variable ${name} is not defined`);
  }

  #close(after: string): void {
    const token = this.#next();
    if (token?.kind !== "close") this.#unexpected(token, `{{ ${after} }}`);
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#place];
  }

  #next(): Token | undefined {
    return this.#tokens[this.#place++];
  }

  #line(): number {
    return this.#tokens[Math.min(this.#place, this.#tokens.length) - 1]?.line ?? 1;
  }

  #refuse(name: string): never {
    return this.#fail(`it uses {{ ${name} }}, which mull does not render`);
  }

  #unexpected(token: Token | undefined, context: string): never {
    return this.#fail(`unexpected ${token === undefined ? "end" : token.value} in ${context}`);
  }

  #fail(problem: string): never {
    throw new GoTemplateError(`line ${this.#line()}: ${problem}`);
  }
}
