/** `npm test`: installs, builds, lints, type-checks and runs every test; prints "N passed, N failed" last. */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepare, root, run } from "./prepare.js";

prepare();
installComponents([
  { name: "tmux", check: ["-V"] },
  { name: "docker-registry", check: ["--version"] },
  { name: "faketime", check: ["--version"] },
]);
const bin = (name) => join("node_modules", ".bin", name);
run([bin("oxfmt"), "--check", "."]);
run([bin("oxlint"), "--type-aware", "--deny-warnings"]);
run([bin("tsc"), "-p", "tsconfig.json"]);

const report = join(tmpdir(), `mull-test-report-${process.pid}.json`);
const { status } = spawnSync(
  bin("vitest"),
  ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: "inherit" },
);
const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(
  readFileSync(report, "utf8"),
);
rmSync(report);
console.log(
  `Tests: ${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests + numTodoTests} skipped`,
);
process.exit(status ?? 1);

/**
 * Real components that tests drive, by the name of their Debian package and command, with arguments that prove the
 * command is there. Where they cannot be installed, those tests say so and skip.
 */
function installComponents(components) {
  const missing = components
    .filter(({ name, check }) => spawnSync(name, check, { stdio: "ignore" }).error)
    .map(({ name }) => name);
  if (missing.length === 0 || process.platform !== "linux" || process.getuid?.() !== 0) return;
  console.error(`Installing ${missing.join(", ")}…`);
  const options = {
    stdio: ["ignore", "ignore", 2],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  };
  spawnSync("apt-get", ["update", "-qq"], options);
  spawnSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], options);
}
