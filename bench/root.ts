import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder, seen from `build/bench/`. */
export const root: string = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
