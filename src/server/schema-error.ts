import type { z } from "@hono/zod-openapi";
import { MullError } from "../spec/errors.ts";

type Issue = z.core.$ZodIssue;

/** What a body has against its schema: the first thing, with its place. */
export function schemaError(error: z.ZodError): MullError {
  const issue = deepest(error.issues[0]!, []);
  const place = placeOf(issue.path);
  const complaint = complaintOf(issue);
  const message = complaint.startsWith("is ")
    ? `${place || "The body"} ${complaint}.`
    : `${place || "The body"}: ${complaint}.`;
  return new MullError("invalid_argument", message, { details: place === "" ? {} : { param: place } });
}

/** `["messages", 0, "content"]` → "messages[0].content" */
export function placeOf(path: readonly PropertyKey[]): string {
  let place = "";
  for (const key of path) {
    if (typeof key === "number") place += `[${key}]`;
    else place += `${place === "" ? "" : "."}${String(key).slice(0, 100)}`;
  }
  return place;
}

/**
 * A value that fits no branch of a union fails in every branch. The branch that got furthest is the one that was
 * meant: for a list of parts, "messages[0].content[1].text is required" instead of "expected string".
 */
function deepest(issue: Issue, prefix: readonly PropertyKey[]): Issue {
  const path = [...prefix, ...issue.path];
  if (issue.code !== "invalid_union") return { ...issue, path };
  let best: Issue | undefined;
  for (const branch of issue.errors) {
    const first = branch[0];
    if (first === undefined) continue;
    const candidate = deepest(first, path);
    if (best === undefined || candidate.path.length > best.path.length) best = candidate;
  }
  if (best !== undefined && isMissing(best)) return best;
  const types = issue.errors.flatMap((branch) => expectedAt(branch[0]));
  // No branch got anywhere: name all that would do.
  if (best !== undefined && best.path.length === path.length && types.length === issue.errors.length) {
    return { ...best, message: `expected ${[...new Set(types)].join(" or ")}` };
  }
  return best ?? { ...issue, path };
}

function expectedAt(issue: Issue | undefined): string[] {
  return issue?.code === "invalid_type" && issue.path.length === 0 ? [issue.expected] : [];
}

/** By Zod's own words: "Invalid input: expected string, received undefined" */
function isMissing(issue: Issue): boolean {
  return issue.code === "invalid_type" && issue.message.endsWith("received undefined");
}

function complaintOf(issue: Issue): string {
  if (isMissing(issue)) return "is required";
  const message = issue.message.replace(/^Invalid input: /, "").replace(/\.$/, "");
  return message.charAt(0).toLowerCase() + message.slice(1);
}
