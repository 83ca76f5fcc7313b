import { MullError } from "../../spec/errors.ts";

/** Steps of the slow parts (automata, intersections): about a second on a slow core. */
const STEPS = 10_000_000;

/**
 * What one grammar may cost to make. Schemas come from strangers, and small ones can ask for endless work:
 * whoever loops over something that a schema decides spends from it.
 */
export class Budget {
  #left = STEPS;

  /** @throws MullError `invalid_argument` when nothing is left */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw tooComplex("it would take too long to turn into a grammar");
  }
}

export function tooComplex(why: string): MullError {
  return new MullError("invalid_argument", `The schema is too complex: ${why}.`, {
    hint: "Use fewer alternatives, shorter limits and simpler patterns.",
  });
}
