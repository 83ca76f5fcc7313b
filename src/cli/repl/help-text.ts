import { PARAMETERS } from "../options/parameters.ts";

export const HELP = `Commands:
  /set            Change how the model answers
  /show           Show facts about the model
  /load <model>   Go on with another model, or with a saved session
  /save <name>    Save this session: model, settings and messages
  /clear          Forget what was said
  /bye            Leave (also /exit, Ctrl-d)
  /?, /help       Help; /? <command> for one command
  /? shortcuts    Help for keys

Begin and end a message of several lines with """.
`;

/** Added for a model that takes pictures. */
export const PICTURE_HELP = `Name pictures anywhere in a message: ./x.png, ~/x.jpg, "my photo.webp".
Dropping a file on the terminal works too.
`;

export const SET_HELP = `Commands:
  /set parameter <name> <value>   Set a parameter (/set parameter lists them)
  /set system <text>              Set the system message
  /set history | nohistory        Keep what you type for later sessions, or don't
  /set wordwrap | nowordwrap      Break lines of answers between words, or don't
  /set verbose | quiet            Print times and rates after each answer, or don't
`;

export const SHOW_HELP = `Commands:
  /show info         Facts about the model
  /show license      Its license
  /show modelfile    The session as a Modelfile
  /show parameters   The parameters that were set
  /show system       The system message
  /show template     The chat template
`;

export const SHORTCUTS_HELP = `Keys:
  Ctrl-a, Home   to the beginning of the line       Ctrl-e, End   to its end
  Alt-b          one word back                      Alt-f         one word on
  Ctrl-k         delete to the end of the line      Ctrl-u        delete to its beginning
  Ctrl-w         delete the word before             Ctrl-y        put back what was deleted
  Up, Down       earlier and later messages         Tab           complete a path or a command
  Ctrl-j         a new line in the message          Ctrl-l        clear the screen
  Ctrl-g         write the message in your editor   Ctrl-z        suspend mull
  Ctrl-c         stop the answer; twice: leave      Ctrl-d        leave
`;

export const PARAMETERS_HELP: string = parametersHelp();

function parametersHelp(): string {
  const rows = PARAMETERS.map(({ name, range, help }) => ({ name, text: `${help} [${range}]` }));
  rows.push({ name: "stop", text: "end the answer before any of these texts" });
  return `Parameters:\n${rows.map(({ name, text }) => `  ${name.padEnd(18)} ${text}\n`).join("")}`;
}
