import type { ChildProcess } from "node:child_process";
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Digest } from "../../src/store/digest.ts";
import { openStore } from "../../src/store/open-store.ts";
import { readJournal } from "../../src/store/pull/partial-file.ts";
import { type StorePaths, storePaths } from "../../src/store/store-paths.ts";
import { CliHarness } from "./cli-harness.ts";
import { type CommandOptions, type CommandResult, mull } from "./command.ts";
import { type FaultyProxy, type SeenRequest, startFaultyProxy } from "./faulty-proxy.ts";
import { ask, type PublishedModel } from "./published-model.ts";
import { findProblems, nameOf } from "./store-models.ts";

/** From `start` up to and without `end`. */
interface KeptRange {
  digest: string;
  start: number;
  end: number;
}

/** A second store that pulls a published model through a proxy of its own. */
export class PullScene implements AsyncDisposable {
  readonly proxy: FaultyProxy;
  readonly published: PublishedModel;
  readonly paths: StorePaths;
  readonly env: Record<string, string>;
  readonly #folder: string;

  private constructor(proxy: FaultyProxy, published: PublishedModel, folder: string, root: string) {
    this.proxy = proxy;
    this.published = published;
    this.paths = storePaths(root);
    this.env = { MULL_MODELS: root, HOME: folder };
    this.#folder = folder;
  }

  /**
   * @param host of the registry
   * @param options.root default: a folder that goes with the scene
   * @param options.like a scene whose store this one begins with a copy of
   */
  static async open(
    published: PublishedModel,
    host: string,
    options: { root?: string; like?: PullScene } = {},
  ): Promise<PullScene> {
    const folder = mkdtempSync(join(tmpdir(), "mull-test-scene-"));
    const root = options.root ?? join(folder, "second");
    const scene = new PullScene(await startFaultyProxy(host), published, folder, root);
    const { like } = options;
    if (like !== undefined) {
      cpSync(like.paths.root, root, { recursive: true, preserveTimestamps: true });
      const { manifests } = scene.paths;
      const [from, to] = [like, scene].map(({ proxy }) => join(manifests, proxy.host));
      if (existsSync(from as string)) renameSync(from as string, to as string);
    }
    return scene;
  }

  /** "127.0.0.1:12345/library/x" */
  get name(): string {
    return this.nameOf(this.published);
  }

  nameOf({ repository }: PublishedModel): string {
    return `${this.proxy.host}/${repository}`;
  }

  mull(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return mull(args, { ...options, env: { ...this.env, ...options.env } });
  }

  pull(options: CommandOptions = {}): Promise<CommandResult> {
    return this.mull(["pull", `http://${this.name}`], options);
  }

  /** A pull that is given `SIGKILL` before, or after, one of its calls that change files: see `kill-point.js`. */
  killedAt(
    point: { at?: number; before?: string; after?: string; count?: string },
    args: readonly string[] = ["pull", `http://${this.name}`],
  ): Promise<CommandResult> {
    const preload = new URL("kill-point.js", import.meta.url).href;
    return this.mull(args, {
      nodeOptions: ["--import", preload],
      env: { KILL_POINT: JSON.stringify(point) },
    });
  }

  async expectPulled(published: PublishedModel = this.published): Promise<void> {
    const store = openStore({ root: this.paths.root });
    const stored = await store.find(nameOf(this.nameOf(published)));
    assert.equal(stored?.digest, published.stored.digest);
    const problems = await findProblems(store);
    assert.deepEqual(
      problems.filter(({ kind }) => kind !== "leftover"),
      [],
    );
  }

  async expectAnswer(): Promise<void> {
    const { code, stdout, stderr } = await ask(this.name, this.env);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: this.published.answer, stderr });
  }

  /**
   * What holds after every fault: `mull verify` finds nothing wrong, or says exactly what is missing; `mull pull` gets
   * the model, and asks for no byte that was verified before.
   *
   * @param missing the lines that `mull verify` has to print
   * @returns bytes that were kept
   */
  async expectRecovery(missing: readonly string[] = []): Promise<number> {
    await this.expectVerified(missing);
    this.proxy.reset();
    const kept = await this.keptRanges();
    const { code, stderr } = await this.pull();
    assert.deepEqual({ code, stderr }, { code: 0, stderr });
    this.expectNotFetched(kept);
    await this.expectPulled();
    return kept.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** After a prune: nothing of a process that is gone, no lock, nothing unfinished, nothing damaged. */
  async expectClean(): Promise<void> {
    const store = openStore({ root: this.paths.root });
    await store.prune();
    const { blobs, damaged, locks, partial } = this.paths;
    assert.deepEqual([locks, partial, damaged].flatMap(filesIn), []);
    assert.deepEqual(await findProblems(store), []);
    assert.ok(filesIn(blobs).every((name) => name.startsWith("sha256-")));
  }

  /** What `mull verify` says, in this process: it is asked after every fault, and starting costs most of its time. */
  async expectVerified(missing: readonly string[] = []): Promise<void> {
    const command = new CliHarness({ env: this.env });
    const code = await command.run("verify", "--no-repair");
    const isFinding = (line: string): boolean => !/^(?:|\d+ files? intact.*|To repair .*)$/.test(line);
    const lines = command.out.split("\n").filter(isFinding);
    const expected = { code: missing.length === 0 ? 0 : 1, lines: missing.toSorted() };
    assert.deepEqual({ code, lines: lines.toSorted() }, expected, command.err);
    assert.doesNotMatch(command.err, /Error/);
  }

  /** Kills a pull as soon as so many bytes would not be fetched again: what a clock or a proxy counts may still be on its way. */
  killWhenKept(child: ChildProcess, bytes: number): void {
    const look = async (): Promise<void> => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const kept = await this.keptRanges();
      if (kept.reduce((sum, { start, end }) => sum + end - start, 0) >= bytes) child.kill("SIGKILL");
      else setTimeout(() => void look(), 10);
    };
    void look();
  }

  /** Whole blobs, and what the journals of unfinished downloads vouch for. */
  async keptRanges(): Promise<KeptRange[]> {
    const kept: KeptRange[] = [];
    for (const file of filesIn(this.paths.blobs)) {
      const digest = file.replace("sha256-", "sha256:");
      kept.push({ digest, start: 0, end: Number.POSITIVE_INFINITY });
    }
    for (const file of filesIn(this.paths.partial)) {
      const name = file.replace(/\.journal$/, "");
      const journal = name === file ? undefined : await readJournal(this.paths, name);
      const data = statSync(join(this.paths.partial, `${name}.data`), { throwIfNoEntry: false });
      if (data?.size !== journal?.size) continue;
      let start = 0;
      for (const gap of journal?.extents.gaps(journal.size) ?? []) {
        if (gap.start > start) kept.push({ digest: `sha256:${name}`, start, end: gap.start });
        start = gap.end;
      }
      if (journal !== undefined && start < journal.size)
        kept.push({ digest: `sha256:${name}`, start, end: journal.size });
    }
    return kept.map((range) => ({ ...range, end: Math.min(range.end, this.#sizeOf(range.digest)) }));
  }

  /** No request since the proxy was reset was for a byte of these. */
  expectNotFetched(kept: readonly KeptRange[]): void {
    const again = this.blobRequests().filter(({ digest, start, end }) =>
      kept.some(
        (range) =>
          range.digest === digest && start < range.end && (end ?? Number.POSITIVE_INFINITY) > range.start,
      ),
    );
    assert.deepEqual(again, []);
  }

  blobRequests(digest?: Digest): SeenRequest[] {
    return this.proxy.seen.filter(
      (request) =>
        request.method === "GET" &&
        request.what === "blob" &&
        (digest === undefined || request.digest === digest),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    // Children of a command that was killed may still end.
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  #sizeOf(digest: string): number {
    const { config, layers } = this.published.stored.manifest;
    return [config, ...layers].find((blob) => blob.digest === digest)?.size ?? 0;
  }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
