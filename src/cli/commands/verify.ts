import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { shortDigest } from "../../store/digest.ts";
import { type ModelName, formatModelName, nameKey } from "../../store/model-name.ts";
import type { ModelStore, VerifyEvent } from "../../store/model-store.ts";
import { openStore } from "../../store/open-store.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { errorText } from "../report-error.ts";
import { createPaint } from "../terminal/colour.ts";
import { formatBytes, plural } from "../terminal/format-quantity.ts";
import { sizeOf } from "../terminal/model-files.ts";
import { safeName } from "../terminal/safe-text.ts";
import { TransferView } from "../terminal/transfer-view.ts";

/**
 * `mull verify`: reads every byte of the store, and with `repair` fetches again what is damaged or missing.
 *
 * @returns the exit code: 1 when something is wrong, and was not repaired
 */
export async function verify({ repair }: { repair: boolean }, context: CliContext): Promise<number> {
  const { env, stdout } = context;
  const store = openStore({ root: defaultStoreRoot(env) });
  const { intact, bytes, faults, broken, hasObstacle } = await check(store, context);
  stdout.write(faults.map((fault) => `${fault}\n`).join(""));
  stdout.write(
    `${plural(intact, "file")} intact, ${faults.length} damaged or missing (${formatBytes(bytes)} read).\n`,
  );
  const lost = repair ? await repairAll(store, broken, context) : broken;
  if (lost.length > 0) {
    const names = lost.map((name) => safeName(formatModelName(name))).join(", ");
    stdout.write(repair ? `Not repaired: ${names}\n` : `To repair ${names}: mull verify --repair\n`);
  }
  return lost.length > 0 || hasObstacle ? 1 : 0;
}

interface Findings {
  intact: number;
  bytes: number;
  /** One line each, for people. */
  faults: readonly string[];
  /** Models that something is missing of. */
  broken: readonly ModelName[];
  /** Something in the place of manifests that is no model's. */
  hasObstacle: boolean;
}

async function check(store: ModelStore, { env, stderr, signal }: CliContext): Promise<Findings> {
  const view = new TransferView(stderr, env);
  const total = await sizeOfBlobs(store);
  const show = (completed: number): void =>
    view.show({ status: "verifying", total, completed: Math.min(total, completed) });
  const broken = new Map<string, ModelName>();
  const faults: string[] = [];
  let intact = 0;
  let bytes = 0;
  let hasObstacle = false;
  try {
    const onProgress = (completed: number): void => show(bytes + completed);
    for await (const event of store.verify({ signal, onProgress })) {
      bytes += event.kind === "intact" || event.kind === "damaged" ? (event.bytes ?? 0) : 0;
      if (event.kind === "intact") intact += 1;
      show(bytes);
      if (event.kind === "checking" || event.kind === "intact" || event.kind === "leftover") continue;
      for (const name of event.models) broken.set(nameKey(name), name);
      hasObstacle ||= event.kind === "unreadable-manifest" && event.models.length === 0;
      faults.push(faultText(event));
    }
  } finally {
    view.end();
  }
  return { intact, bytes, faults, broken: [...broken.values()], hasObstacle };
}

/** In bytes: all of them are read, needed or not. */
async function sizeOfBlobs({ paths }: ModelStore): Promise<number> {
  const names = await readdir(paths.blobs).catch(() => []);
  return sizeOf(names.map((name) => join(paths.blobs, name)));
}

function faultText({ kind, digest, path, models, problem }: VerifyEvent): string {
  const what = digest === undefined ? safeName(path ?? "") : shortDigest(digest);
  const of =
    models.length === 0 ? "" : ` (${models.map((name) => safeName(formatModelName(name))).join(", ")})`;
  // Which file it is has been said.
  const told = problem?.startsWith(`${path} `) === true ? `it${problem.slice(path?.length)}` : problem;
  const why = told === undefined ? "" : `: ${safeName(told)}`;
  return `${kind === "unreadable-manifest" ? "unreadable" : kind}: ${what}${of}${why}`;
}

/** @returns the models that could not be repaired */
async function repairAll(
  store: ModelStore,
  broken: readonly ModelName[],
  { env, stdout, stderr, signal }: CliContext,
): Promise<readonly ModelName[]> {
  if (broken.length === 0) return [];
  const { repairModel } = await import("../../store/repair-model.ts");
  const lost: ModelName[] = [];
  for (const name of broken) {
    const view = new TransferView(stderr, env);
    try {
      await repairModel(store, name, { env, signal, onProgress: view.show });
      view.end();
      stdout.write(`${safeName(formatModelName(name))} is whole again.\n`);
    } catch (error) {
      view.end();
      signal.throwIfAborted();
      stderr.write(errorText(MullError.wrap(error), createPaint(stderr, env)));
      lost.push(name);
    }
  }
  return lost;
}
