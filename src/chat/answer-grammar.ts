export function answerGrammar(_: object): string | undefined {
  return undefined;
}
