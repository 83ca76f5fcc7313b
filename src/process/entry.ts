/**
 * The compiled file of a child process or worker, given the module that starts it.
 *
 * Child processes run plain JavaScript. From `dist/` the entry lies where it says; from `src/` (tests run the
 * sources directly) it is the built twin under `dist/`.
 *
 * @param relative path of the entry relative to `src/`, with its `.js` ending: "engine/child.js"
 */
export function processEntry(relative: string): URL {
  const here = import.meta.url;
  const root = here.endsWith(".ts") ? new URL("../../dist/", here) : new URL("../", here);
  return new URL(relative, root);
}
