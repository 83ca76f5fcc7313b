/**
 * Complaint about a value of a union that is none of its kinds: names the kind that came, and what there is instead.
 * A part or message of another kind is refused, never left out.
 */
export function unknownKind(
  what: string,
  key: string,
  kinds: string,
): (issue: { input?: unknown }) => string {
  return ({ input }) => {
    const kind =
      typeof input === "object" && input !== null ? (input as Record<string, unknown>)[key] : undefined;
    return typeof kind === "string"
      ? `this server does not take ${what} "${kind.slice(0, 40)}", only ${kinds}`
      : `expected one of ${kinds}`;
  };
}
