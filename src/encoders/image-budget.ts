export function rowsForBudget(
  native: { rows: number; columns: number } | number,
  request: { maxTokens?: number },
): number {
  const n = typeof native === "number" ? native : native.rows * native.columns;
  return Math.min(n, request.maxTokens ?? n);
}
export function shrinkToFit(_: readonly unknown[], _room: number): number[] | undefined {
  return undefined;
}
export function shrinkAdvice(_: readonly unknown[], _room: number): string {
  return "";
}
