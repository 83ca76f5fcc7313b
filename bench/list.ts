import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { putManyModels } from "./many-models.ts";
import { root } from "./root.ts";

/**
 * `mull list` as a process of its own, with many models in the store; in turn with `node -e 0`, which is what any
 * program in Node takes, and with an empty store.
 *
 *     npm run bench:list -- [--models 500] [--rounds 30]
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { models: { type: "string", default: "500" }, rounds: { type: "string", default: "30" } },
  });
  const folder = mkdtempSync(join(tmpdir(), "mull-bench-list-"));
  try {
    const full = join(folder, "full");
    const names = putManyModels(full, Number(values.models));
    const list = [join(root, "dist", "cli", "main.js"), "list"];
    const cases = [
      { what: "node -e 0", args: ["-e", "0"], store: "", lines: 0 },
      { what: "mull list, no models", args: list, store: join(folder, "empty"), lines: 2 },
      { what: `mull list, ${names.length} models`, args: list, store: full, lines: names.length + 2 },
    ].map((one) => ({ ...one, times: [] as number[] }));
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const { args, store, lines, times } of cases) {
        const started = performance.now();
        const { stdout, status } = spawnSync(process.execPath, args, {
          env: { ...process.env, MULL_MODELS: store, XDG_DATA_HOME: join(folder, "data") },
          encoding: "utf8",
        });
        times.push(performance.now() - started);
        if (status !== 0 || stdout.split("\n").length - 1 !== lines)
          throw new Error(`Wrong output: ${stdout}`);
      }
    }
    for (const { what, times } of cases) {
      const sorted = times.toSorted((a, b) => a - b);
      const at = (share: number): string =>
        `${(sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0)} ms`;
      console.log(`${what.padEnd(24)} fastest ${at(0)}, median ${at(0.5)}, slowest ${at(1)}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
