import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Debian's docker-registry 2.8, a registry as companies run it. */
export interface DockerRegistry extends AsyncDisposable {
  /** "127.0.0.1:12345" */
  host: string;
  /** Its storage on the disk. */
  folder: string;
  pid: number;
}

/** User "tester", password "correct horse". */
const HTPASSWD = "tester:$2b$04$S5SqxGWnVvjY2GpEgVobJ.oUwF/.5DqVzamjBeI8I/7Bjm/.0gWyW\n";
export const REGISTRY_LOGIN = { username: "tester", password: "correct horse" };

/** Whether it is installed; says so once when it is not, since its tests are skipped then. */
export const hasDockerRegistry: boolean = isInstalled();

function isInstalled(): boolean {
  const isThere = spawnSync("docker-registry", ["--version"], { stdio: "ignore" }).status === 0;
  if (!isThere)
    console.warn(
      "Skipped: tests against docker-registry, which is not installed (apt-get install docker-registry).",
    );
  return isThere;
}

/**
 * Starts one on a free port of loopback, with storage of its own, and waits until it listens.
 *
 * @param options.login only `REGISTRY_LOGIN` is let in
 */
export async function startDockerRegistry(options: { login?: boolean } = {}): Promise<DockerRegistry> {
  const folder = mkdtempSync(join(tmpdir(), "mull-test-registry-"));
  const config = join(folder, "config.json");
  const htpasswd = join(folder, "htpasswd");
  writeFileSync(htpasswd, HTPASSWD);
  // YAML's grammar contains JSON.
  writeFileSync(
    config,
    JSON.stringify({
      version: "0.1",
      log: { level: "info", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(folder, "storage") }, delete: { enabled: true } },
      http: { addr: "127.0.0.1:0", secret: "of the tests" },
      ...(options.login === true ? { auth: { htpasswd: { realm: "tests", path: htpasswd } } } : {}),
    }),
  );
  const child = spawn("docker-registry", ["serve", config], { stdio: ["ignore", "ignore", "pipe"] });
  const stop = (): void => void child.kill("SIGKILL");
  process.once("exit", stop);
  const host = await listeningAt(child);
  return {
    host,
    folder: join(folder, "storage"),
    pid: child.pid as number,
    async [Symbol.asyncDispose]() {
      process.off("exit", stop);
      const ended = once(child, "close");
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function listeningAt(child: ChildProcess): Promise<string> {
  let log = "";
  return await new Promise<string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => reject(new Error(`docker-registry ended: ${log}`)));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      const host = /listening on (127\.0\.0\.1:\d+)/.exec(log)?.[1];
      if (host !== undefined) resolve(host);
    });
  });
}
