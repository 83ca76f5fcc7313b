import { MullError } from "../../spec/errors.ts";
import { shortDigest } from "../../store/digest.ts";
import { blobsOf } from "../../store/manifest.ts";
import { type ModelName, formatModelName, nameKey } from "../../store/model-name.ts";
import type { ModelStore, VerifyEvent } from "../../store/model-store.ts";
import { openStore } from "../../store/open-store.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { errorText } from "../report-error.ts";
import { createPaint } from "../terminal/colour.ts";
import { formatBytes, plural } from "../terminal/format-quantity.ts";
import { safeName } from "../terminal/safe-text.ts";
import { TransferView } from "../terminal/transfer-view.ts";
import { pullWithView } from "./pull.ts";

/**
 * `mull verify`: reads every byte of the store, and with `repair` fetches again what is damaged or missing.
 *
 * @returns the exit code: 1 when something is wrong, and was not repaired
 */
export async function verify({ repair }: { repair: boolean }, context: CliContext): Promise<number> {
  const { env, stdout, stderr } = context;
  const store = openStore({ root: defaultStoreRoot(env) });
  const first = await check(store, context);
  if (first.faults === 0 || !repair) return report(first, context);

  const paint = createPaint(stderr, env);
  for (const name of first.broken.values()) {
    const text = formatModelName(name);
    stdout.write(`Fetching ${safeName(text)} again.\n`);
    try {
      await pullWithView(text, { insecure: false }, context);
    } catch (error) {
      context.signal.throwIfAborted();
      stderr.write(errorText(MullError.wrap(error), paint));
    }
  }
  return report(await check(store, context), context);
}

interface Findings {
  intact: number;
  bytes: number;
  faults: number;
  /** Models that something is missing of, by key. */
  broken: ReadonlyMap<string, ModelName>;
}

async function check(store: ModelStore, { env, stdout, stderr, signal }: CliContext): Promise<Findings> {
  const view = new TransferView(stderr, env);
  const total = await sizeOfBlobs(store);
  const broken = new Map<string, ModelName>();
  const lines: string[] = [];
  let intact = 0;
  let bytes = 0;
  let faults = 0;
  try {
    for await (const event of store.verify({ signal })) {
      bytes += event.kind === "intact" || event.kind === "damaged" ? (event.bytes ?? 0) : 0;
      if (event.kind === "intact") intact += 1;
      view.show({ status: "verifying", total, completed: Math.min(total, bytes) });
      if (event.kind === "checking" || event.kind === "intact" || event.kind === "leftover") continue;
      faults += 1;
      for (const name of event.models) broken.set(nameKey(name), name);
      lines.push(faultText(event));
    }
  } finally {
    view.end();
  }
  stdout.write(lines.map((line) => `${line}\n`).join(""));
  return { intact, bytes, faults, broken };
}

/** In bytes; blobs that models share count once. */
async function sizeOfBlobs(store: ModelStore): Promise<number> {
  const blobs = new Map(
    (await store.list()).flatMap(({ manifest }) => blobsOf(manifest)).map((blob) => [blob.digest, blob.size]),
  );
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}

function faultText({ kind, digest, path, models, problem }: VerifyEvent): string {
  const what = digest === undefined ? safeName(path ?? "") : shortDigest(digest);
  const of =
    models.length === 0 ? "" : ` (${models.map((name) => safeName(formatModelName(name))).join(", ")})`;
  const why = problem === undefined ? "" : `: ${safeName(problem)}`;
  return `${kind === "unreadable-manifest" ? "unreadable" : kind}: ${what}${of}${why}`;
}

function report({ intact, bytes, faults, broken }: Findings, { stdout }: CliContext): number {
  stdout.write(
    `${plural(intact, "file")} intact, ${faults} damaged or missing (${formatBytes(bytes)} read).\n`,
  );
  if (faults === 0) return 0;
  const names = [...broken.values()].map((name) => safeName(formatModelName(name)));
  if (names.length > 0) stdout.write(`To repair: mull verify --repair, or mull pull ${names.join(", ")}\n`);
  return 1;
}
