import type { Readable, Writable } from "node:stream";
import type { Model } from "../spec/model.ts";
import type { LoadOptions } from "../spec/options.ts";

export interface InputStream extends Readable {
  isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

export interface OutputStream extends Writable {
  isTTY?: boolean;
  columns?: number;
  rows?: number;
}

export type LoadModel = (options: LoadOptions) => Promise<Model>;

/** All that the command touches outside itself, so that a test can be the terminal, the user and the model. */
export interface CliContext {
  stdin: InputStream;
  /** The answer, and nothing else. */
  stdout: OutputStream;
  /** Everything that is said about the answer. */
  stderr: OutputStream;
  env: NodeJS.ProcessEnv;
  load: LoadModel;
  /** Fires when the process is asked to end: SIGINT, SIGTERM, SIGHUP, or a reader that went away. */
  signal: AbortSignal;
}
