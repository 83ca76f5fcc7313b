import type { Budget } from "./budget.ts";
import type { GrammarText } from "./grammar-text.ts";
import type { Node } from "./shape.ts";

/** What writing a shape needs: rules are collected in `grammar`, and every node has a rule. */
export interface ShapeWriter {
  grammar: GrammarText;
  budget: Budget;
  ruleOf: (node: Node) => string;
}
