export interface PromptTexts {
  prompt: string;
  /** Before the second and further lines of one entry. */
  continuation: string;
  /** Shown while nothing is typed. */
  placeholder: string;
}

export type ReadResult =
  | { type: "line"; text: string }
  /** Ctrl-C. `discarded` is true when it threw away what was typed. */
  | { type: "interrupt"; discarded: boolean }
  /** Ctrl-D, or the terminal is gone. */
  | { type: "end" };

/** Where the user types. */
export interface LineReader {
  read(texts: PromptTexts): Promise<ReadResult>;
  /** Called for a Ctrl-C while nothing is being read, that is, during an answer. */
  onInterrupt: (() => void) | undefined;
  /** Gives the terminal back; a pending read ends. */
  close(): void;
}
