import type { CliContext } from "../cli-context.ts";
import { openServer } from "../server/open-server.ts";
import { listRunningModels, type RunningModel } from "../server/server-models.ts";
import { formatBytes, plural } from "../terminal/format-quantity.ts";
import { tableText } from "../terminal/table.ts";

export interface PsSettings {
  host?: string;
  json: boolean;
}

const HEADING = ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"];

/**
 * `mull ps`: the models that a server has loaded.
 *
 * @returns the exit code
 * @throws MullError `server_unreachable`, `unauthorized`
 */
export async function ps(settings: PsSettings, { env, stdout, signal }: CliContext): Promise<number> {
  const models = await listRunningModels(openServer(settings.host, env), signal);
  if (settings.json) {
    for (const { source } of models) stdout.write(`${JSON.stringify(source)}\n`);
    return 0;
  }
  const now = Date.now();
  stdout.write(tableText([HEADING, ...models.map((model) => row(model, now))]));
  return 0;
}

function row(model: RunningModel, now: number): string[] {
  const { name, digest, size, contextLength, expiresAt } = model;
  return [
    name,
    digest.slice(0, 12),
    formatBytes(size),
    processorText(model),
    contextLength === undefined ? "-" : String(contextLength),
    untilText(expiresAt, now),
  ];
}

/** Where the model's memory lies, in Ollama's words: "100% CPU", "100% GPU", "25%/75% CPU/GPU". */
function processorText({ size, sizeVram }: RunningModel): string {
  if (sizeVram === 0) return "100% CPU";
  if (sizeVram === size) return "100% GPU";
  if (sizeVram > size) return "Unknown";
  const cpu = Math.round(((size - sizeVram) / size) * 100);
  return `${cpu}%/${100 - cpu}% CPU/GPU`;
}

/** "4 minutes from now": how long the model stays if nobody asks it anything. */
function untilText(expiresAt: Date | undefined, now: number): string {
  if (expiresAt === undefined) return "Forever";
  const seconds = Math.round((expiresAt.getTime() - now) / 1000);
  if (seconds < 0) return "Stopping...";
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return `${plural(Math.floor(seconds / length), unit)} from now`;
  }
  return "Now";
}

const UNITS: readonly [unit: string, seconds: number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
