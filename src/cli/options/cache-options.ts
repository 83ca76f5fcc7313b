import { type Command, InvalidArgumentError } from "commander";
import type { CliContext } from "../cli-context.ts";

const EXAMPLES = `Examples:
  mull cache ls                        what is kept of pictures, last used first
  mull cache clear --older-than 7d     only what nobody asked for in a week
  mull cache verify                    read every byte, remove what is damaged
`;

const NOTES = `
Kept are encoded pictures (rows), the model's state after reading them (snapshots), and digests of model files.
All of it can be computed again. MULL_CACHE_DIR moves it, MULL_CACHE_SIZE=2GB bounds it, MULL_CACHE=off turns it off.
`;

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** @param start runs a command and keeps its exit code */
export function addCacheCommand(
  program: Command,
  context: CliContext,
  start: (command: () => Promise<number>) => Promise<void>,
): void {
  const cache = program
    .command("cache")
    .description("Show or empty what is kept of pictures, so that they are not read twice.")
    .addHelpText("before", EXAMPLES)
    .addHelpText("after", NOTES);

  cache
    .command("ls")
    .description("List entries, last used first.")
    .option("--json", "print one JSON object")
    .action((flags: Record<string, unknown>) =>
      start(async () => {
        const { listCache } = await import("../commands/cache.ts");
        return listCache({ json: flags["json"] === true }, context);
      }),
    );

  cache
    .command("clear")
    .description("Remove entries: all, or some.")
    .option("--rows", "only encoded pictures")
    .option("--snapshots", "only snapshots of the model's state")
    .option("--older-than <age>", "only entries last used before: 30m, 12h, 7d, 2w", parseAge)
    .action((flags: Record<string, unknown>) =>
      start(async () => {
        const { clearCache } = await import("../commands/cache.ts");
        const { rows, snapshots, olderThan } = flags;
        const some = [...(rows === true ? ["rows"] : []), ...(snapshots === true ? ["snapshot"] : [])];
        return clearCache({ kinds: some, olderThanMs: (olderThan ?? 0) as number }, context);
      }),
    );

  cache
    .command("verify")
    .description("Check every byte of every entry and remove damaged ones; exit code 1 if there were any.")
    .action(() =>
      start(async () => {
        const { verifyCache } = await import("../commands/cache.ts");
        return verifyCache(context);
      }),
    );

  cache
    .command("path")
    .description("Print the folder.")
    .action(() =>
      start(async () => {
        const { printCachePath } = await import("../commands/cache.ts");
        return printCachePath(context);
      }),
    );
}

/** Milliseconds of "30m", "12h", "7d". */
function parseAge(text: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError("Write an age as 30m, 12h, 7d or 2w.");
  return Number(number) * (UNITS[unit] as number);
}
