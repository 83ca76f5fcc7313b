import { displayWidth } from "./display-width.ts";
import { safeName } from "./safe-text.ts";

const GAP = "    ";

/** Rows in columns, each as wide as its widest cell; the first row is the heading. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(safeName));
  const widths = cells[0]?.map((_, column) =>
    Math.max(...cells.map((row) => displayWidth(row[column] ?? ""))),
  );
  const pad = (text: string, column: number): string =>
    text + " ".repeat((widths?.[column] ?? 0) - displayWidth(text));
  return cells.map((row) => `${row.map(pad).join(GAP).trimEnd()}\n`).join("");
}
