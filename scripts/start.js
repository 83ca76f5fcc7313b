/** `npm start`: asks pico about a picture. `npm start -- "What colour is it?" my.png` asks about yours. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { prepare, root } from "./prepare.js";

prepare();
const own = process.argv.slice(2);
const question = own.length > 0 ? own : ["What's in this image?", "examples/smile.png"];
// npm changes the folder; the caller's relative paths are meant from where the caller stands.
const cwd = own.length > 0 ? (process.env.INIT_CWD ?? root) : root;
const command = join(root, "dist", "cli", "main.js");
const { status, signal } = spawnSync(process.execPath, [command, "run", "pico", "--receipt", ...question], {
  cwd,
  stdio: "inherit",
});
if (own.length === 0 && status === 0) {
  console.error('\nAsk about your own picture:  npm start -- "What colour is it?" my.png');
}
process.exit(status ?? (signal === "SIGINT" ? 130 : 1));
