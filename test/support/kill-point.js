// Loaded before a program (`node --import`): counts the calls by which its main thread changes files, and kills it with
// SIGKILL at one of them. KILL_POINT says at which: `{"at": 17}` before the 17th, `{"before": "rename .*/manifests/"}`
// or `{"after": …}` at the first that matches. `{"count": "/path"}` writes there how many there were, and kills nobody.
import { promises, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";

// Not `utimes`: how often a process shows that it lives depends on how long it does.
const CALLS = [
  "rename",
  "unlink",
  "mkdir",
  "rmdir",
  "rm",
  "link",
  "symlink",
  "copyFile",
  "utimes",
  "truncate",
];
const FILE_CALLS = ["write", "writev", "writeFile", "appendFile", "truncate", "sync", "datasync", "close"];

const point = JSON.parse(process.env["KILL_POINT"] ?? "{}");
// Processes that this one starts are not the ones to be killed.
delete process.env["KILL_POINT"];
if (isMainThread && Object.keys(point).length > 0) watch();

function watch() {
  let calls = 0;
  const before = (what) => {
    calls += 1;
    if (calls === point.at || matches(point.before, what)) die();
  };
  const after = (what) => {
    if (matches(point.after, what)) die();
  };
  const watched =
    (name, call) =>
    async (...args) => {
      const what = [name, ...args.filter((arg) => typeof arg === "string")].join(" ");
      before(what);
      const result = await call(...args);
      after(what);
      return result;
    };
  for (const name of CALLS) promises[name] = watched(name, promises[name]);
  const { open } = promises;
  promises.open = async (path, ...how) => {
    const handle = await open(path, ...how);
    for (const name of FILE_CALLS) {
      const call = handle[name].bind(handle);
      handle[name] = watched(`${name} ${path}`, call);
    }
    return handle;
  };
  syncBuiltinESMExports();
  if (point.count !== undefined) process.on("exit", () => writeFileSync(point.count, String(calls)));
}

function matches(pattern, what) {
  return pattern !== undefined && new RegExp(pattern).test(what);
}

function die() {
  process.kill(process.pid, "SIGKILL");
}
