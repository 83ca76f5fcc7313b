import { parseGoTemplate } from "./go-template/parser.ts";
import { namesIn } from "./go-template/syntax.ts";
import { templateLanguage } from "./template-language.ts";

/** What a chat template can do, by its source: whether it reads tools, and whether its model thinks first. */
export function templateFeatures(source: string): { tools: boolean; thinking: boolean } {
  if (templateLanguage(source) === "go") return goFeatures(source);
  return { tools: /(?<![.\w])tools\b/.test(codeOf(source)), thinking: THINKING.test(source) };
}

function goFeatures(source: string): { tools: boolean; thinking: boolean } {
  const names = goNames(source);
  return {
    tools: names.has("Tools"),
    thinking:
      ["Thinking", "Think", "ThinkLevel", "IsThinkSet"].some((name) => names.has(name)) ||
      THINKING.test(source),
  };
}

/** A template that cannot be read can do nothing; rendering it says why. */
function goNames(source: string): ReadonlySet<string> {
  try {
    return namesIn(parseGoTemplate(source));
  } catch {
    return new Set();
  }
}

/** Tags around thoughts, and the names by which templates are told of thinking. */
const THINKING =
  /<think>|<\/think>|<thinking>|\[THINK\]|<\|channel\|>analysis|enable_thinking|reasoning_content|reasoning_effort/;

/** What stands in Jinja's `{{ }}` and `{% %}`, without strings; in one pass, since a template may be hostile. */
function codeOf(source: string): string {
  const code: string[] = [];
  for (let at = 0; at < source.length;) {
    const open = source.indexOf("{", at);
    if (open < 0) break;
    const kind = source[open + 1];
    if (kind === "#") {
      const close = source.indexOf("#}", open + 2);
      at = close < 0 ? source.length : close + 2;
    } else if (kind === "{" || kind === "%") {
      const close = kind === "{" ? "}}" : "%}";
      at = open + 2;
      while (at < source.length && !source.startsWith(close, at)) {
        const letter = source[at] as string;
        const quoted = letter === '"' || letter === "'";
        code.push(quoted ? " " : letter);
        at = quoted ? endOfString(source, at) : at + 1;
      }
      code.push("\n");
      at += 2;
    } else at = open + 1;
  }
  return code.join("");
}

function endOfString(source: string, start: number): number {
  let at = start + 1;
  while (at < source.length && source[at] !== source[start]) at += source[at] === "\\" ? 2 : 1;
  return at + 1;
}
