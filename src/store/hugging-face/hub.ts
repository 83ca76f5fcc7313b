import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { MullError } from "../../spec/errors.ts";

/** Which Hugging Face is asked, and as whom. */
export interface Hub {
  /** Ends in `/`. */
  endpoint: URL;
  /** For `Authorization`, and only for the endpoint's origin. */
  authorization: string | undefined;
}

/**
 * `HF_ENDPOINT`, else huggingface.co; `HF_TOKEN`, else what `hf auth login` stored.
 *
 * @throws MullError `invalid_argument` for what is no address, or no token
 */
export async function hubOf(env: NodeJS.ProcessEnv): Promise<Hub> {
  const token = await readToken(env);
  return { endpoint: endpointOf(env), authorization: token === undefined ? undefined : `Bearer ${token}` };
}

/** `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME`, else in `~/.cache`. */
export function hubHome(env: NodeJS.ProcessEnv): string {
  const chosen = env["HF_HOME"];
  if (chosen !== undefined && chosen !== "") return expandHome(chosen, env);
  const cache = env["XDG_CACHE_HOME"];
  return join(cache !== undefined && isAbsolute(cache) ? cache : join(homeOf(env), ".cache"), "huggingface");
}

export function expandHome(path: string, env: NodeJS.ProcessEnv): string {
  return path === "~" || path.startsWith("~/") ? join(homeOf(env), path.slice(1)) : path;
}

export function homeOf(env: NodeJS.ProcessEnv): string {
  const home = env["HOME"];
  return home === undefined || home === "" ? homedir() : home;
}

/** @throws MullError `invalid_argument` for an HF_ENDPOINT that is no address */
export function endpointOf(env: NodeJS.ProcessEnv): URL {
  const text = env["HF_ENDPOINT"]?.trim() || "https://huggingface.co";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new MullError("invalid_argument", "HF_ENDPOINT is not the address of a server.", {
      hint: "It looks like https://huggingface.co, without name and password.",
    });
  }
  url.search = "";
  url.hash = "";
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

async function readToken(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const given = env["HF_TOKEN"]?.trim() || env["HUGGING_FACE_HUB_TOKEN"]?.trim();
  if (given !== undefined && given !== "") return checkedToken(given, "HF_TOKEN");
  // Hugging Face's own switch for who does not want to be known.
  if (/^(?:1|true|yes|on)$/i.test(env["HF_HUB_DISABLE_IMPLICIT_TOKEN"] ?? "")) return undefined;
  const path = expandHome(env["HF_TOKEN_PATH"] || join(hubHome(env), "token"), env);
  const stored = (await readFile(path, "utf8").catch(() => "")).trim();
  return stored === "" ? undefined : checkedToken(stored, path);
}

function checkedToken(token: string, origin: string): string {
  if (/^[\x21-\x7e]{1,512}$/.test(token)) return token;
  throw new MullError("invalid_argument", `What ${origin} holds is not a token of Hugging Face.`, {
    hint: "Tokens begin with hf_ and are made at https://huggingface.co/settings/tokens.",
  });
}
