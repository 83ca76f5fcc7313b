import type { AnswerView } from "../terminal/answer-view.ts";
import type { History } from "./history.ts";
import type { Session } from "./session.ts";

/** What the user can switch in a session, besides the model's own settings. */
export interface Preferences {
  verbose: boolean;
  wordWrap: boolean;
}

/** What a slash command may look at and change. */
export interface SlashContext {
  session: Session;
  history: History;
  preferences: Preferences;
  env: NodeJS.ProcessEnv;
  view: AnswerView;
  signal: AbortSignal;
  say: (text: string) => void;
}
