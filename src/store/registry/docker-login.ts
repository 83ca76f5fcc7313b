import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { isRecord } from "../../providers/response-error.ts";

export interface Login {
  /** The value of `Authorization`: "Basic …". */
  authorization: string;
}

/**
 * The login that `docker login <host>` left: in `DOCKER_AUTH_CONFIG` (the text of such a file), else in
 * `$DOCKER_CONFIG/config.json`, else in `~/.docker/config.json`. Undefined without one for exactly this host and port;
 * logins in an operating system's key ring (`credsStore`) are not read.
 *
 * @param host `registry.example:5000`
 */
export async function dockerLogin(host: string, env: NodeJS.ProcessEnv): Promise<Login | undefined> {
  const given = env["DOCKER_AUTH_CONFIG"];
  return (given === undefined ? undefined : loginIn(given, host)) ?? loginIn(await readConfig(env), host);
}

async function readConfig(env: NodeJS.ProcessEnv): Promise<string> {
  const folder = env["DOCKER_CONFIG"] || join(env["HOME"] ?? homedir(), ".docker");
  return await readFile(join(folder, "config.json"), "utf8").catch(() => "");
}

function loginIn(config: string, host: string): Login | undefined {
  let value: unknown;
  try {
    value = JSON.parse(config);
  } catch {
    return undefined;
  }
  const auths = isRecord(value) ? value["auths"] : undefined;
  if (!isRecord(auths)) return undefined;
  const [, entry] = Object.entries(auths).find(([key]) => hostOf(key) === host.toLowerCase()) ?? [];
  return isRecord(entry) ? loginOf(entry) : undefined;
}

/** Keys are hosts, or addresses such as `https://registry.example/v2/`. */
function hostOf(key: string): string {
  return key
    .replace(/^https?:\/\//i, "")
    .replace(/\/.*$/s, "")
    .toLowerCase();
}

function loginOf({ auth, username, password }: Record<string, unknown>): Login | undefined {
  if (typeof username === "string" && typeof password === "string" && username !== "") {
    return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
  }
  const text = typeof auth === "string" ? Buffer.from(auth, "base64").toString() : "";
  // Written anew: what stands in a file does not become a header as it is.
  return text.includes(":") && !text.startsWith(":")
    ? { authorization: `Basic ${Buffer.from(text).toString("base64")}` }
    : undefined;
}
