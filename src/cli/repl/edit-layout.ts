import { graphemes, graphemeWidth } from "../terminal/display-width.ts";

export interface LayoutInput {
  text: string;
  /** Offset of the cursor in the text, in UTF-16 units. */
  cursor: number;
  /** Before the first line, and before each further one. */
  prompt: string;
  continuation: string;
  /** Size of the terminal, in cells. */
  columns: number;
  rows: number;
}

export interface Layout {
  /** What stands in each row of the screen. */
  rows: readonly string[];
  cursorRow: number;
  cursorColumn: number;
}

/**
 * Breaks the edited text into rows of the screen and finds the cursor among them. One column stays free, so that
 * the terminal never wraps by itself. A text higher than the screen is cut to the part around the cursor.
 */
export function layOut(input: LayoutInput): Layout {
  const width = Math.max(8, input.columns - 1);
  const rows: string[] = [];
  let row = input.prompt;
  let column = input.prompt.length;
  let offset = 0;
  let cursorRow = 0;
  let cursorColumn = column;
  const breakRow = (start: string): void => {
    rows.push(row);
    row = start;
    column = start.length;
  };
  for (const grapheme of [...graphemes(input.text), ""]) {
    const cell = visibleCell(grapheme);
    if (grapheme !== "\n" && column + cell.width > width) breakRow("");
    if (offset === input.cursor) {
      cursorRow = rows.length;
      cursorColumn = column;
    }
    offset += grapheme.length;
    if (grapheme === "\n") {
      breakRow(input.continuation);
    } else {
      row += cell.text;
      column += cell.width;
    }
  }
  rows.push(row);
  const first = Math.max(0, Math.min(cursorRow - input.rows + 2, rows.length - input.rows + 1));
  return {
    rows: rows.slice(first, first + Math.max(1, input.rows - 1)),
    cursorRow: cursorRow - first,
    cursorColumn,
  };
}

function visibleCell(grapheme: string): { text: string; width: number } {
  if (grapheme === "") return { text: "", width: 0 };
  if (grapheme === "\t") return { text: "    ", width: 4 };
  return { text: grapheme, width: graphemeWidth(grapheme) };
}
