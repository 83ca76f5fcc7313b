import type { ModelDefaults, ModelInfo } from "../../spec/model.ts";
import { modelfileMessages, modelfileOf } from "../../store/modelfile/modelfile.ts";
import { parametersOf } from "../../store/modelfile/parameters.ts";
import { printModelfile } from "../../store/modelfile/print-modelfile.ts";
import { PARAMETERS } from "../options/parameters.ts";
import { formatBytes, formatParameters, plural } from "../terminal/format-quantity.ts";
import { safeName, safeText } from "../terminal/safe-text.ts";
import { SHOW_HELP } from "./help-text.ts";
import type { Session } from "./session.ts";
import type { SlashContext } from "./slash-context.ts";

/** `/show …` */
export async function show(rest: string, { session, view, signal, say }: SlashContext): Promise<void> {
  switch (rest) {
    case "info":
      return say(infoText((await session.model(view, signal)).info, session));
    case "license": {
      const { license } = (await session.model(view, signal)).info;
      return say(license === undefined ? "The model's files name no license.\n" : withNewline(license));
    }
    case "modelfile":
      return say(modelfileText((await session.model(view, signal)).info, session));
    case "parameters": {
      const set = parameterRows(session, (await session.model(view, signal)).info);
      return say(set.length === 0 ? "No parameters were set; all have their defaults.\n" : table(set));
    }
    case "system": {
      const { system } = inForce(session, (await session.model(view, signal)).info);
      return say(system === undefined ? "There is no system message.\n" : withNewline(system));
    }
    case "template":
      return say(withNewline((await session.model(view, signal)).info.template.source));
    case "":
      return say(SHOW_HELP);
    default:
      return say(`Unknown command '/show ${safeName(rest)}'. Type /? for help\n`);
  }
}

type Row = [label: string, value: string];

function infoText(info: ModelInfo, session: Session): string {
  const sections: [title: string, rows: Row[]][] = [
    [
      "Model",
      [
        ["name", info.name],
        ["architecture", info.architecture],
        ["parameters", formatParameters(info.parameters)],
        ["context length", String(info.contextLength)],
        ["embedding length", String(info.embeddingLength)],
        ["quantization", info.quantization],
        ["size on disk", formatBytes(info.fileBytes)],
        ["device", `${info.device}, ${plural(info.threads, "thread")}`],
        ["template", info.template.origin],
      ],
    ],
    [
      "Capabilities",
      [
        ...info.input.map((kind): Row => [`${kind} in`, ""]),
        ...info.output.map((kind): Row => [`${kind} out`, ""]),
      ],
    ],
  ];
  if (info.encoder !== undefined) {
    const { projector, imageSize, tokensPerImage, precision } = info.encoder;
    sections.push([
      "Image encoder",
      [
        ["projector", projector],
        ["sees", `${imageSize}x${imageSize} pixels`],
        ["tokens per image", String(tokensPerImage)],
        ["precision", precision],
      ],
    ]);
  }
  const parameters = parameterRows(session, info);
  if (parameters.length > 0) sections.push(["Parameters", parameters]);
  const { system } = inForce(session, info);
  if (system !== undefined) sections.push(["System", [[system, ""]]]);
  return sections.map(([title, rows]) => `  ${title}\n${table(rows)}`).join("\n");
}

function table(rows: readonly Row[]): string {
  return rows
    .map(([label, value]) => `    ${safeName(label).padEnd(20)}${safeName(value)}`.trimEnd() + "\n")
    .join("");
}

/** What the session sets goes before what is set for the model. */
function inForce(session: Session, { defaults = {} }: ModelInfo): Omit<ModelDefaults, "messages"> {
  const system = session.system ?? defaults.system;
  return {
    generation: { ...defaults.generation, ...session.generation },
    ...(system === undefined ? {} : { system }),
  };
}

function parameterRows(session: Session, info: ModelInfo): Row[] {
  const { generation = {} } = inForce(session, info);
  const rows = PARAMETERS.flatMap((parameter): Row[] => {
    const value = { ...session.load, ...generation }[parameter.key];
    return value === undefined ? [] : [[parameter.name, String(value)]];
  });
  return [...rows, ...(generation.stop ?? []).map((text): Row => ["stop", JSON.stringify(text)])];
}

/** The session in the form that `mull create` reads, and Ollama's. */
function modelfileText(info: ModelInfo, session: Session): string {
  const { model, projector, adapters = [] } = info.files;
  const { system, generation = {} } = inForce(session, info);
  const modelfile = modelfileOf([model, ...(projector === undefined ? [] : [projector])], {
    template: info.template.source,
    ...(system === undefined ? {} : { system }),
    adapters,
    parameters: parametersOf(generation, session.load),
    messages: modelfileMessages(info.defaults?.messages ?? []),
  });
  return safeText(printModelfile(modelfile));
}

function withNewline(text: string): string {
  return `${safeText(text).trimEnd()}\n`;
}
