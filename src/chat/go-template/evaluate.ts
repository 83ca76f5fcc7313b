import { FUNCTIONS, SHORT_CIRCUIT } from "./functions.ts";
import { goPrint } from "./go-print.ts";
import { type GoValue, isTrue, sortedKeys, typeName } from "./go-value.ts";
import { GoTemplateError, type Operand, type Pipeline, type TemplateNode } from "./syntax.ts";

export interface EvaluateLimits {
  /** Nodes and commands that may be looked at. Default 5 million. */
  steps?: number;
  /** Characters that may be printed, and that a value may have. Default 4 million. */
  characters?: number;
}

/**
 * Renders a template with data, as `text/template` does with `missingkey=zero`.
 *
 * @throws GoTemplateError when the template goes wrong on this data, or over a limit
 */
export function evaluate(nodes: readonly TemplateNode[], data: GoValue, limits: EvaluateLimits = {}): string {
  return new Evaluator(data, limits).run(nodes);
}

/** How a list of nodes ended. */
type Flow = "done" | "break" | "continue";

class Evaluator {
  readonly #output: string[] = [];
  /** Innermost last; `$` is the data. */
  readonly #variables: { name: string; value: GoValue }[];
  readonly #limits: Required<EvaluateLimits>;
  #steps = 0;
  #characters = 0;

  constructor(data: GoValue, limits: EvaluateLimits) {
    this.#variables = [{ name: "$", value: data }];
    this.#limits = { steps: 5_000_000, characters: 4 * 1024 * 1024, ...limits };
  }

  run(nodes: readonly TemplateNode[]): string {
    this.#walk(nodes, this.#variables[0]?.value);
    return this.#output.join("");
  }

  #walk(nodes: readonly TemplateNode[], dot: GoValue): Flow {
    for (const node of nodes) {
      this.#step();
      const flow = this.#node(node, dot);
      if (flow !== "done") return flow;
    }
    return "done";
  }

  #node(node: TemplateNode, dot: GoValue): Flow {
    switch (node.kind) {
      case "text":
        this.#print(node.text);
        return "done";
      case "action": {
        const value = this.#pipeline(node.pipeline, dot);
        // What is kept in a variable is not printed.
        if (node.pipeline.variables.length === 0)
          this.#print(value === undefined ? "<no value>" : goPrint(value));
        return "done";
      }
      case "break":
      case "continue":
        return node.kind;
      default:
        return this.#scoped(() => (node.kind === "range" ? this.#range(node, dot) : this.#branch(node, dot)));
    }
  }

  /** Variables of a block end with it. */
  #scoped(work: () => Flow): Flow {
    const known = this.#variables.length;
    const flow = work();
    this.#variables.length = known;
    return flow;
  }

  #branch(node: Extract<TemplateNode, { body: unknown }>, dot: GoValue): Flow {
    const value = this.#pipeline(node.pipeline, dot);
    if (!isTrue(value)) return this.#walk(node.otherwise, dot);
    return this.#walk(node.body, node.kind === "with" ? value : dot);
  }

  #range(node: Extract<TemplateNode, { body: unknown }>, dot: GoValue): Flow {
    const { variables, assigns } = node.pipeline;
    const pairs = pairsOf(this.#pipeline(node.pipeline, dot), node.pipeline);
    let any = false;
    for (const [key, value] of pairs) {
      any = true;
      this.#step();
      const [first, second] = variables;
      if (first !== undefined) this.#set(first, second === undefined ? value : key, assigns);
      if (second !== undefined) this.#set(second, value, assigns);
      if (this.#scoped(() => this.#walk(node.body, value)) === "break") return "done";
    }
    return any ? "done" : this.#walk(node.otherwise, dot);
  }

  #pipeline(pipeline: Pipeline, dot: GoValue): GoValue {
    let value: readonly GoValue[] = [];
    for (const command of pipeline.commands) {
      try {
        value = [this.#command(command, dot, value)];
      } catch (error) {
        if (error instanceof GoTemplateError && !/^line \d/.test(error.message)) {
          throw new GoTemplateError(`line ${pipeline.line}: ${error.message}`);
        }
        throw error;
      }
    }
    const [result] = value;
    // A range declares its variables here, and sets them for each element.
    for (const name of pipeline.variables) this.#set(name, result, pipeline.assigns, true);
    return result;
  }

  /** @param piped what the command before it gave, if there is one */
  #command([first, ...rest]: Pipeline["commands"][number], dot: GoValue, piped: readonly GoValue[]): GoValue {
    this.#step();
    if (first.kind === "function") return this.#call(first.name, rest, dot, piped);
    if (rest.length > 0 || piped.length > 0)
      throw new GoTemplateError("a value that is no function has arguments");
    if (first.kind === "nil") throw new GoTemplateError("nil is not a command");
    return this.#operand(first, dot);
  }

  #call(name: string, operands: readonly Operand[], dot: GoValue, piped: readonly GoValue[]): GoValue {
    const count = operands.length + piped.length;
    if (name === "and" || name === "or") {
      if (count === 0) throw new GoTemplateError(`${name} has no arguments`);
      let value: GoValue;
      for (const operand of operands) {
        value = this.#operand(operand, dot);
        if (isTrue(value) === SHORT_CIRCUIT[name]) return value;
      }
      return piped.length > 0 ? piped[0] : value;
    }
    const called = FUNCTIONS[name];
    if (called === undefined) throw new GoTemplateError(`the function ${name} is not defined`);
    if (count < called.least || count > called.most)
      throw new GoTemplateError(`${name} has ${count} arguments`);
    const result = called.call([...operands.map((operand) => this.#operand(operand, dot)), ...piped]);
    if (typeof result === "string" && result.length > this.#limits.characters) this.#tooLong();
    return result;
  }

  #operand(operand: Operand, dot: GoValue): GoValue {
    switch (operand.kind) {
      case "dot":
        return dot;
      case "nil":
        return undefined;
      case "constant":
        return operand.value;
      case "field":
        return fieldsOf(dot, operand.path);
      case "variable":
        return fieldsOf(this.#variable(operand.name).value, operand.path);
      case "chain":
        return fieldsOf(this.#operand(operand.of, dot), operand.path);
      case "function":
        return this.#call(operand.name, [], dot, []);
      default:
        return this.#pipeline(operand.pipeline, dot);
    }
  }

  #set(name: string, value: GoValue, assigns: boolean, declares = false): void {
    if (declares && !assigns) this.#variables.push({ name, value });
    else this.#variable(name).value = value;
  }

  #variable(name: string): { name: string; value: GoValue } {
    const found = this.#variables.findLast((variable) => variable.name === name);
    if (found === undefined) throw new GoTemplateError(`the variable ${name} is not defined`);
    return found;
  }

  #print(text: string): void {
    this.#characters += text.length;
    if (this.#characters > this.#limits.characters) this.#tooLong();
    this.#output.push(text);
  }

  #step(): void {
    if (++this.#steps > this.#limits.steps)
      throw new GoTemplateError(`it took more than ${this.#limits.steps} steps`);
  }

  #tooLong(): never {
    throw new GoTemplateError(`it printed more than ${this.#limits.characters} characters`);
  }
}

/** A field of nil is nil; a field of a field that is nil is an error. */
function fieldsOf(value: GoValue, path: readonly string[]): GoValue {
  if (value === undefined && path.length === 1) return undefined;
  return path.reduce(fieldOf, value);
}

function fieldOf(value: GoValue, name: string): GoValue {
  if (typeof value === "object" && value.kind === "map") {
    return value.entries.has(name) ? value.entries.get(name) : value.zero;
  }
  if (typeof value === "object" && value.kind === "struct" && value.fields.has(name))
    return value.fields.get(name);
  throw new GoTemplateError(`${typeName(value)} has no field ${name}`);
}

function* pairsOf(value: GoValue, { line }: Pipeline): Generator<[GoValue, GoValue]> {
  if (value === undefined) return;
  if (typeof value === "object" && value.kind === "list") {
    for (const [place, item] of value.items.entries()) yield [BigInt(place), item];
  } else if (typeof value === "object" && value.kind === "map") {
    for (const key of sortedKeys(value)) yield [key, value.entries.get(key)];
  } else if (typeof value === "bigint") {
    for (let place = 0n; place < value; place++) yield [place, place];
  } else throw new GoTemplateError(`line ${line}: range cannot go through ${typeName(value)}`);
}
