import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MullError } from "../../spec/errors.ts";

/** The user's editor: MULL_EDITOR, VISUAL, EDITOR, in this order, else what the system has. */
export function editorCommand(env: NodeJS.ProcessEnv): string {
  const configured = [env["MULL_EDITOR"], env["VISUAL"], env["EDITOR"]].find(
    (name) => (name ?? "").trim() !== "",
  );
  return configured ?? (process.platform === "win32" ? "notepad" : "vi");
}

/**
 * Opens a text in the user's editor and waits until it is closed.
 *
 * @returns the text as saved, without the line feed that editors put at the end
 * @throws MullError `invalid_argument` when the editor cannot be started or fails
 */
export function editExternally(text: string, env: NodeJS.ProcessEnv): string {
  const [program = "vi", ...options] = editorCommand(env).trim().split(/\s+/);
  const directory = mkdtempSync(join(tmpdir(), "mull-"));
  const path = join(directory, "message.txt");
  try {
    writeFileSync(path, text, { mode: 0o600 });
    const { error, status } = spawnSync(program, [...options, path], { stdio: "inherit", env });
    if (error !== undefined || status !== 0) {
      const reason = error?.message ?? `it ended with status ${status}`;
      throw new MullError(
        "invalid_argument",
        `The editor '${program}' failed: ${reason}. Your text is unchanged.`,
        {
          hint: "MULL_EDITOR, VISUAL or EDITOR names the editor.",
          cause: error,
        },
      );
    }
    return readFileSync(path, "utf8").replace(/\n$/, "");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
