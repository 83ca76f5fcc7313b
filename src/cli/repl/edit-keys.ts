import type { LineBuffer } from "./line-buffer.ts";

/** A key as `readline.emitKeypressEvents` reports it. */
export interface Key {
  sequence?: string;
  name?: string;
  ctrl?: boolean;
  meta?: boolean;
  shift?: boolean;
}

/** Keys that change the text or move in it. "C-" is Ctrl, "M-" is Alt. */
const ACTIONS: Record<string, (buffer: LineBuffer) => void> = {
  left: (buffer) => buffer.left(),
  "C-b": (buffer) => buffer.left(),
  right: (buffer) => buffer.right(),
  "C-f": (buffer) => buffer.right(),
  "M-b": (buffer) => buffer.wordLeft(),
  "M-left": (buffer) => buffer.wordLeft(),
  "C-left": (buffer) => buffer.wordLeft(),
  "M-f": (buffer) => buffer.wordRight(),
  "M-right": (buffer) => buffer.wordRight(),
  "C-right": (buffer) => buffer.wordRight(),
  home: (buffer) => buffer.home(),
  "C-a": (buffer) => buffer.home(),
  end: (buffer) => buffer.end(),
  "C-e": (buffer) => buffer.end(),
  backspace: (buffer) => buffer.backspace(),
  "C-h": (buffer) => buffer.backspace(),
  delete: (buffer) => buffer.delete(),
  "C-k": (buffer) => buffer.killToEnd(),
  "C-u": (buffer) => buffer.killToStart(),
  "C-w": (buffer) => buffer.killWordLeft(),
  "M-backspace": (buffer) => buffer.killWordLeft(),
  "M-d": (buffer) => buffer.killWordRight(),
  "C-y": (buffer) => buffer.yank(),
  // Enter sends "\r"; Ctrl-J sends "\n", which is called "enter".
  enter: (buffer) => buffer.insert("\n"),
  "C-j": (buffer) => buffer.insert("\n"),
  "M-return": (buffer) => buffer.insert("\n"),
  "M-enter": (buffer) => buffer.insert("\n"),
};

/** "C-a", "M-f", "left": one name per key. */
export function keyName(key: Key): string {
  return `${key.ctrl === true ? "C-" : ""}${key.meta === true ? "M-" : ""}${key.name ?? ""}`;
}

/** Edits the buffer by one key; false when the key does not edit. */
export function editByKey(buffer: LineBuffer, text: string | undefined, key: Key): boolean {
  const action = ACTIONS[keyName(key)];
  if (action !== undefined) {
    action(buffer);
    return true;
  }
  if (text === undefined || key.ctrl === true || key.meta === true || !isPrintable(text)) return false;
  buffer.insert(text);
  return true;
}

/** Text as it is inserted by a paste: one kind of line end, no other control characters. */
export function pastedText(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are the subject
  return text.replaceAll(/\r\n?/g, "\n").replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
}

function isPrintable(text: string): boolean {
  return text !== "" && pastedText(text) === text;
}
