import { MullError } from "../../spec/errors.ts";
import { type Digest, parseDigest } from "../digest.ts";
import type { HttpClient } from "../http/http-client.ts";
import { readJson, requireOk } from "../http/response-error.ts";
import type { Hub } from "./hub.ts";

/** What a repository holds at one commit. */
export interface HubRepository {
  /** 40 hex digits: the same files for ever. */
  commit: string;
  files: readonly HubFile[];
}

export interface HubFile {
  /** With `/` between folders; neither absolute nor leading out. */
  path: string;
  /** In bytes. */
  size: number | undefined;
  /** SHA-256 of the content, which the Hub knows for large files (LFS) only. */
  digest: Digest | undefined;
}

/**
 * Asks for the files of a model's repository, on its main branch.
 *
 * @param repository `org/repo`
 * @throws MullError `unauthorized` (gated, private, or not there at all: the Hub does not tell strangers apart),
 *   `model_not_found`, `server_unreachable`, `aborted`
 */
export async function fetchRepository(
  repository: string,
  hub: Hub,
  client: HttpClient,
  options: { signal?: AbortSignal | undefined; allowPlainHttp?: boolean } = {},
): Promise<HubRepository> {
  const url = new URL(`api/models/${repository}/revision/main?blobs=true`, hub.endpoint);
  const response = await client.send({
    url,
    headers: { accept: "application/json" },
    authorization: hub.authorization,
    ...options,
  });
  const answer = await readJson(
    await requireOk(response, client, {
      subject: `The repository ${repository}`,
      credentialsHint: credentialsHint(repository, hub),
    }),
  );
  const { sha, siblings, gated } = isObject(answer) ? answer : {};
  if (typeof sha !== "string" || !/^[0-9a-f]{40,64}$/.test(sha) || !Array.isArray(siblings)) {
    throw new MullError(
      "server_unreachable",
      `${url.host} does not describe ${repository} as the Hub does.`,
      {
        hint: "Is HF_ENDPOINT right?",
      },
    );
  }
  // Its list is public, its files are not: better told now than after a part of the download.
  if (isGated(gated) && hub.authorization === undefined) {
    throw new MullError("unauthorized", `${repository} is gated: its owner wants to know who uses it.`, {
      hint: credentialsHint(repository, hub),
    });
  }
  return { commit: sha, files: siblings.flatMap(fileOf) };
}

/** What to do when the Hub does not give something away. */
export function credentialsHint(repository: string, { endpoint, authorization }: Hub): string {
  const page = new URL(repository, endpoint).href;
  const terms = `If it is gated, accept its terms at ${page}`;
  return authorization === undefined
    ? `Check how the name is written. ${terms}. If it is private or gated, set HF_TOKEN to a token from ${new URL("settings/tokens", endpoint).href}.`
    : `${terms}, and check that the token in HF_TOKEN is valid and may read this repository.`;
}

function fileOf(sibling: unknown): HubFile[] {
  if (!isObject(sibling)) return [];
  const { rfilename, size, lfs } = sibling;
  if (typeof rfilename !== "string" || !isSafePath(rfilename)) return [];
  const large = isObject(lfs) ? lfs : {};
  const sha256 = large["sha256"];
  return [
    {
      path: rfilename,
      size: [large["size"], size].find(isSize),
      digest: typeof sha256 === "string" ? parseDigest(`sha256:${sha256}`) : undefined,
    },
  ];
}

function isSafePath(path: string): boolean {
  if (path.length > 1024 || /[\p{C}\\]/u.test(path)) return false;
  return path.split("/").every((name) => name !== "" && name !== "." && name !== "..");
}

function isGated(value: unknown): boolean {
  return value === true || value === "auto" || value === "manual";
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
