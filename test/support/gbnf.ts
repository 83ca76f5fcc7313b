/**
 * A second reading of llama.cpp's grammar notation, to check grammars against texts without native code.
 * It follows `src/llama-grammar.cpp`: the same syntax, the same expansion of repetitions and their limit, and sets of
 * stacks that are compared element by element. Whatever llama.cpp would refuse or choke on is thrown here.
 */
interface Matcher {
  negative: boolean;
  ranges: readonly (readonly [number, number])[];
}
type Element = { rule: string } | { characters: Matcher };

/** A place in an alternative that is not its end, and what follows after the alternative. */
interface Stack {
  alternative: readonly Element[];
  place: number;
  below: Stack | undefined;
}

const REPETITION_LIMIT = 2000;
const ELEMENT_LIMIT = 500_000;
const VISIT_LIMIT = 1_000_000;

export class Gbnf {
  readonly rules: Map<string, Element[][]> = new Map();
  /** Most stacks that any text needed so far. */
  mostStacks = 0;
  readonly #source: string;
  #at = 0;
  #count = 0;
  readonly #ids = new Map<readonly Element[], number>();

  constructor(source: string) {
    this.#source = source;
    this.#space(true);
    while (this.#at < source.length) this.#rule();
    this.#check();
  }

  accepts(text: string): boolean {
    let stacks = this.#start();
    for (const letter of text) {
      stacks = this.#read(stacks, letter.codePointAt(0) as number);
      if (stacks.length === 0) return false;
    }
    return stacks.includes(undefined);
  }

  /** Whether a text can be continued to one that is accepted, or is accepted itself. */
  allows(prefix: string): boolean {
    let stacks = this.#start();
    for (const letter of prefix) stacks = this.#read(stacks, letter.codePointAt(0) as number);
    return stacks.length > 0;
  }

  /** A text that is accepted, by choices of `random` (0..1). Ends as soon as it can once it is `long`. */
  sample(random: () => number, long = 200): string | undefined {
    let stacks = this.#start();
    let text = "";
    while (text.length < 20 * long) {
      if (stacks.includes(undefined) && (stacks.length === 1 || text.length >= long || random() < 0.1))
        return text;
      const open = stacks.filter((stack) => stack !== undefined);
      const stack = open[Math.floor(random() * open.length)] as Stack;
      const { characters } = stack.alternative[stack.place] as { characters: Matcher };
      const letter = pick(characters, random);
      text += letter;
      stacks = this.#read(stacks, letter.codePointAt(0) as number);
    }
    return undefined;
  }

  #start(): (Stack | undefined)[] {
    return this.#close(
      (this.rules.get("root") as Element[][]).map((alternative) => push(alternative, 0, undefined)),
    );
  }

  #read(stacks: readonly (Stack | undefined)[], codePoint: number): (Stack | undefined)[] {
    const next = stacks.flatMap((stack) => {
      if (stack === undefined) return [];
      const element = stack.alternative[stack.place] as { characters: Matcher };
      return matches(element.characters, codePoint)
        ? [push(stack.alternative, stack.place + 1, stack.below)]
        : [];
    });
    return this.#close(next);
  }

  /** Stacks that begin with a character, each once; undefined is the end of the text. */
  #close(stacks: readonly (Stack | undefined)[]): (Stack | undefined)[] {
    const seen = new Set<string>();
    const done: (Stack | undefined)[] = [];
    const todo = [...stacks];
    while (todo.length > 0) {
      const stack = todo.pop();
      const key = this.#key(stack);
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > 20_000) throw new Error("too many stacks");
      const element = stack?.alternative[stack.place];
      if (stack === undefined || element === undefined || "characters" in element) {
        done.push(stack);
        continue;
      }
      const below = push(stack.alternative, stack.place + 1, stack.below);
      for (const alternative of this.rules.get(element.rule) as Element[][])
        todo.push(push(alternative, 0, below));
    }
    this.mostStacks = Math.max(this.mostStacks, done.length);
    return done;
  }

  #key(stack: Stack | undefined): string {
    let key = "";
    for (let level = stack; level !== undefined; level = level.below) {
      let id = this.#ids.get(level.alternative);
      if (id === undefined) this.#ids.set(level.alternative, (id = this.#ids.size));
      key += `${id}:${level.place},`;
    }
    return key;
  }

  #rule(): void {
    const name = this.#name();
    this.#space(false);
    if (!this.#take("::=")) this.#fail("expecting ::=");
    this.#space(true);
    const alternatives = this.#alternatives(name, false);
    if (this.rules.has(name)) this.#fail(`rule ${name} is defined twice`);
    this.rules.set(name, alternatives);
    if (this.#at < this.#source.length && !this.#take("\n")) this.#fail("expecting newline");
    this.#space(true);
  }

  #alternatives(name: string, nested: boolean): Element[][] {
    const alternatives = [this.#sequence(name, nested)];
    while (this.#take("|")) {
      this.#space(true);
      alternatives.push(this.#sequence(name, nested));
    }
    return alternatives;
  }

  #sequence(name: string, nested: boolean): Element[] {
    const sequence: Element[] = [];
    let last = 0;
    let rulesBefore = 1;
    for (;;) {
      const letter = this.#source[this.#at] ?? "";
      const repetition = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(this.#source.slice(this.#at, this.#at + 30));
      if (repetition !== null) {
        const [all, min = "", comma = "", max = ""] = repetition;
        this.#at += all.length;
        const bounds: Record<string, [number, number]> = {
          "*": [0, Infinity],
          "+": [1, Infinity],
          "?": [0, 1],
        };
        const [from, to] = bounds[all] ?? [
          Number(min),
          comma === "" ? Number(min) : max === "" ? Infinity : Number(max),
        ];
        if (last === sequence.length) this.#fail("expecting preceding item");
        if (to !== Infinity && to > REPETITION_LIMIT) this.#fail("a limit would be lost");
        const copies = to !== Infinity && to > 0 ? to : Math.max(from, 1);
        if (rulesBefore * copies >= REPETITION_LIMIT) this.#fail("too many repetitions");
        rulesBefore *= copies;
        this.#repeat(name, sequence, sequence.splice(last), from, to);
      } else if (letter === '"') {
        last = sequence.length;
        rulesBefore = 1;
        this.#at++;
        while (!this.#take('"')) sequence.push({ characters: exactly(this.#character()) });
      } else if (letter === "[") {
        last = sequence.length;
        rulesBefore = 1;
        this.#at++;
        const negative = this.#take("^");
        const ranges: [number, number][] = [];
        while (!this.#take("]")) {
          const first = this.#character();
          const isRange = this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]";
          if (isRange) this.#at++;
          ranges.push([first, isRange ? this.#character() : first]);
        }
        if (ranges.length === 0) this.#fail("a class without characters");
        if (ranges.some(([first, last]) => first > last)) this.#fail("a range that ends before it begins");
        sequence.push({ characters: { negative, ranges } });
      } else if (/[a-zA-Z0-9-]/.test(letter)) {
        last = sequence.length;
        rulesBefore = 1;
        sequence.push({ rule: this.#name() });
      } else if (letter === "(") {
        last = sequence.length;
        this.#at++;
        this.#space(true);
        const before = this.rules.size;
        const own = this.#generated(name);
        this.rules.set(own, []);
        this.rules.set(own, this.#alternatives(name, true));
        rulesBefore = Math.max(1, this.rules.size - before);
        sequence.push({ rule: own });
        if (!this.#take(")")) this.#fail("expecting )");
      } else {
        return sequence;
      }
      this.#count += sequence.length - last;
      if (this.#count > ELEMENT_LIMIT) this.#fail("too many elements");
      this.#space(nested);
    }
  }

  #repeat(name: string, sequence: Element[], item: readonly Element[], min: number, max: number): void {
    for (let count = 0; count < min; count++) sequence.push(...item);
    this.#count += item.length * (max === Infinity ? min + 1 : max);
    if (this.#count > ELEMENT_LIMIT) this.#fail("too many elements");
    let rest: string | undefined;
    if (max === Infinity) {
      rest = this.#generated(name);
      this.rules.set(rest, [[...item, { rule: rest }], []]);
    }
    const most = max === Infinity ? min : max;
    for (let count = min; count < most; count++) {
      const own = this.#generated(name);
      this.rules.set(own, [[...item, ...(rest === undefined ? [] : [{ rule: rest }])], []]);
      rest = own;
    }
    if (rest !== undefined) sequence.push({ rule: rest });
  }

  #generated(name: string): string {
    return `${name}_${this.rules.size}`;
  }

  #character(): number {
    const codePoint = this.#source.codePointAt(this.#at) ?? this.#fail("unexpected end");
    if (codePoint === 0 || codePoint === 0x0a) this.#fail("a raw control character");
    this.#at += codePoint > 0xffff ? 2 : 1;
    if (codePoint !== 0x5c) return codePoint;
    const kind = this.#source[this.#at++] ?? "";
    const length = { x: 2, u: 4, U: 8 }[kind];
    if (length !== undefined) {
      const digits = this.#source.slice(this.#at, this.#at + length);
      if (!/^[0-9a-fA-F]+$/.test(digits) || digits.length !== length) this.#fail("expecting hex digits");
      this.#at += length;
      return Number.parseInt(digits, 16);
    }
    const known: Record<string, string> = {
      t: "\t",
      r: "\r",
      n: "\n",
      "\\": "\\",
      '"': '"',
      "[": "[",
      "]": "]",
    };
    return (known[kind] ?? this.#fail("unknown escape")).codePointAt(0) as number;
  }

  #name(): string {
    const [name] =
      /^[a-zA-Z0-9-]+/.exec(this.#source.slice(this.#at, this.#at + 100)) ?? this.#fail("expecting a name");
    this.#at += name.length;
    return name;
  }

  #take(text: string): boolean {
    const found = this.#source.startsWith(text, this.#at);
    if (found) this.#at += text.length;
    return found;
  }

  #space(newlines: boolean): void {
    const space = newlines ? /[ \t\n]*/y : /[ \t]*/y;
    space.lastIndex = this.#at;
    this.#at += space.exec(this.#source)?.[0].length ?? 0;
  }

  #fail(why: string): never {
    throw new Error(`${why} at ${this.#source.slice(this.#at, this.#at + 60)}`);
  }

  /** Every rule is there, none begins with itself, and llama.cpp's own search for that does not explode. */
  #check(): void {
    if (!this.rules.has("root")) throw new Error("no root");
    for (const [name, alternatives] of this.rules) {
      for (const element of alternatives.flat()) {
        if ("rule" in element && !this.rules.has(element.rule))
          throw new Error(`${name} refers to ${element.rule}`);
      }
    }
    const empty = new Set<string>();
    for (let before = -1; before < empty.size;) {
      before = empty.size;
      for (const [name, alternatives] of this.rules) {
        const isEmpty = (element: Element): boolean => "rule" in element && empty.has(element.rule);
        if (alternatives.some((alternative) => alternative.every(isEmpty))) empty.add(name);
      }
    }
    let visits = 0;
    const visited = new Set<string>();
    const path = new Set<string>();
    const visit = (name: string): void => {
      if (path.has(name)) throw new Error(`left recursion in ${name}`);
      if (++visits > VISIT_LIMIT || path.size > 5000)
        throw new Error("the search for left recursion explodes");
      path.add(name);
      for (const alternative of this.rules.get(name) as Element[][]) {
        for (const element of alternative) {
          if (!("rule" in element)) break;
          visit(element.rule);
          if (!empty.has(element.rule)) break;
        }
      }
      path.delete(name);
      visited.add(name);
    };
    for (const name of this.rules.keys()) if (!visited.has(name)) visit(name);
  }
}

function push(alternative: readonly Element[], place: number, below: Stack | undefined): Stack | undefined {
  return place < alternative.length ? { alternative, place, below } : below;
}

function exactly(codePoint: number): Matcher {
  return { negative: false, ranges: [[codePoint, codePoint]] };
}

function matches({ negative, ranges }: Matcher, codePoint: number): boolean {
  return ranges.some(([first, last]) => first <= codePoint && codePoint <= last) !== negative;
}

function pick(matcher: Matcher, random: () => number): string {
  const { negative, ranges } = matcher;
  for (;;) {
    const [first, last] = negative
      ? [0x20, random() < 0.9 ? 0x7e : 0x1ffff]
      : (ranges[Math.floor(random() * ranges.length)] as readonly [number, number]);
    const codePoint = first + Math.floor(random() * (Math.min(last, 0x1ffff) - first + 1));
    const isSurrogate = codePoint >= 0xd800 && codePoint <= 0xdfff;
    if (matches(matcher, codePoint) && !isSurrogate) return String.fromCodePoint(codePoint);
  }
}
