import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const dist = new URL("../../dist/", import.meta.url);

/** Pulls one model of a config and a model blob; each line of progress goes to stdout as JSON. */
const PROGRAM = `
import { get } from "node:http";
import { pullModel } from "${new URL("store/pull/pull-model.js", dist).href}";
import { openStore } from "${new URL("store/open-store.js", dist).href}";
import { modelName } from "${new URL("store/model-name.js", dist).href}";
import { encodeManifest, layer } from "${new URL("store/manifest.js", dist).href}";

const { root, blobs } = JSON.parse(process.argv[1]);
const open = (url) => ({ start, end }, signal) => new Promise((resolve, reject) => {
  const range = "bytes=" + start + "-" + (end === undefined ? "" : end - 1);
  get(url, { headers: { range }, signal, agent: false }, (answer) => {
    const [, from, total] = /^bytes (\\d+)-\\d+\\/(\\d+)$/.exec(answer.headers["content-range"]);
    resolve({ start: Number(from), total: Number(total), body: answer });
  }).on("error", reject);
});
const remote = {
  name: modelName({ host: "registry.test", namespace: "library", model: "test", tag: "latest" }),
  blobs: blobs.map(({ url, digest, size }) => ({
    label: digest, digest, size, key: undefined, mediaType: "application/octet-stream", open: open(url),
  })),
  manifest: async ([model, config]) => {
    const manifest = {
      config: { mediaType: "application/vnd.docker.container.image.v1+json", ...config },
      layers: [layer("model", model.digest, model.size)],
    };
    return { manifest, bytes: encodeManifest(manifest) };
  },
};
try {
  await pullModel(openStore({ root }), remote, {
    connections: 4,
    onProgress: (line) => console.log(JSON.stringify(line)),
  });
} catch (error) {
  console.error(error);
  process.exit(1);
}
`;

export interface PullProcess {
  child: ChildProcess;
  /** Resolves when it says something, or ends. */
  started: Promise<unknown>;
  /** Lines of JSON. */
  output: () => string;
  /** Exit status; null when it was killed. */
  exit: Promise<number | null>;
}

/** Pulls in a process of its own, from the built files. */
export function startPullProcess(
  root: string,
  blobs: readonly { url: string; digest: string; size: number }[],
): PullProcess {
  const child = spawn(
    process.execPath,
    ["--input-type=module", "-e", PROGRAM, JSON.stringify({ root, blobs })],
    { cwd: fileURLToPath(dist), stdio: ["ignore", "pipe", "inherit"] },
  );
  let output = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
  const exit = once(child, "close").then(([code]) => code as number | null);
  const started = Promise.race([exit, once(child.stdout as NodeJS.EventEmitter, "data")]);
  return { child, started, output: () => output, exit };
}
