/**
 * Installs and builds, each only when something changed since the last time. Plain JavaScript without
 * dependencies: it runs right after `git clone`.
 */
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export function prepare() {
  requireNode();
  step({
    title: "Installing dependencies",
    stamp: "node_modules/.mull-stamp",
    inputs: ["package.json", "package-lock.json"],
    command: ["npm", "ci", "--no-audit", "--no-fund"],
  });
  step({
    title: "Building",
    stamp: "dist/.mull-stamp",
    inputs: ["package-lock.json", "tsconfig.json", "tsconfig.build.json", ...sources("src")],
    command: [
      process.execPath,
      join("node_modules", "typescript", "bin", "tsc"),
      "-p",
      "tsconfig.build.json",
    ],
  });
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  console.error(`mull needs Node 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}

/** Runs a command unless the inputs are those of its last success. */
function step({ title, stamp, inputs, command }) {
  const hash = createHash("sha256").update(process.version);
  for (const input of inputs)
    hash
      .update(input)
      .update("\0")
      .update(readFileSync(join(root, input)));
  const digest = hash.digest("hex");
  const stampFile = join(root, stamp);
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === digest) return;
  console.error(`${title}…`);
  run(command);
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, digest);
}

/** Runs a command of the project to its end; a failure ends this program with the same code. */
export function run([program, ...args]) {
  const { status, error } = spawnSync(program, args, {
    cwd: root,
    // stdout belongs to the answer that `npm start` prints.
    stdio: ["inherit", 2, 2],
    shell: process.platform === "win32" && program === "npm",
  });
  if (error) console.error(error.message);
  if (status !== 0) process.exit(status ?? 1);
}

function sources(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((name) => statSync(join(root, name)).isFile())
    .sort();
}
