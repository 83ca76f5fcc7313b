import { isRecord, notMull } from "../../providers/response-error.ts";
import type { ServerClient } from "../../providers/server-client.ts";

/** A model that a server has loaded, as `GET /api/ps` of Ollama and mull says it. */
export interface RunningModel {
  name: string;
  /** 64 hex digits. */
  digest: string;
  /** Memory that it takes, and how much of that on a GPU, in bytes. */
  size: number;
  sizeVram: number;
  /** In tokens; undefined: the server does not say. */
  contextLength: number | undefined;
  /** Undefined: never. */
  expiresAt: Date | undefined;
  /** What the server said, whole. */
  source: Readonly<Record<string, unknown>>;
}

/** Later than this, and a model stays for ever. Ollama writes "never" as a time some hundred years ahead. */
const FOR_EVER_MS = 20 * 365 * 24 * 3_600_000;

/** @throws MullError `server_unreachable`, `unauthorized`, `aborted` */
export async function listRunningModels(server: ServerClient, signal: AbortSignal): Promise<RunningModel[]> {
  return (await list("/api/ps", server, signal)).map(readModel);
}

/** Names of all models that a server can load. @throws MullError as `listRunningModels` */
export async function listModelNames(server: ServerClient, signal: AbortSignal): Promise<string[]> {
  return (await list("/api/tags", server, signal)).map((model) => readModel(model).name);
}

async function list(
  path: string,
  server: ServerClient,
  signal: AbortSignal,
): Promise<Record<string, unknown>[]> {
  const answer = await server.call(path, { signal });
  const models = isRecord(answer) ? answer["models"] : undefined;
  if (!Array.isArray(models)) throw notMull(server.address.host, "it does not list its models");
  return models.filter(isRecord);
}

function readModel(source: Record<string, unknown>): RunningModel {
  const { name, model, digest, context_length: contextLength } = source;
  const known = typeof name === "string" ? name : model;
  return {
    name: typeof known === "string" ? known : "",
    digest: typeof digest === "string" ? digest.replace(/^sha256:/, "") : "",
    size: bytes(source["size"]),
    sizeVram: bytes(source["size_vram"]),
    contextLength: typeof contextLength === "number" ? contextLength : undefined,
    expiresAt: readTime(source["expires_at"]),
    source,
  };
}

function bytes(value: unknown): number {
  return typeof value === "number" && value >= 0 ? value : 0;
}

function readTime(value: unknown): Date | undefined {
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) || time - Date.now() > FOR_EVER_MS ? undefined : new Date(time);
}

/** "pico" and "pico:latest" are one model, whatever the case. */
export function isSameModel(a: string, b: string): boolean {
  return canonical(a) === canonical(b);
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/:latest$/, "");
}
