/**
 * Every failure that mull reports on purpose is a `MullError` with one of these codes.
 *
 * The table is the single source for what a code means outside the library: the exit code of the command,
 * the HTTP status of the server, and whether trying the same call again can help.
 */
export const ERROR_TABLE = {
  /** An argument or option is wrong: the caller must change the call. */
  invalid_argument: { exitCode: 2, httpStatus: 400, retryable: false },
  /** No model has that name, or its file does not exist. */
  model_not_found: { exitCode: 3, httpStatus: 404, retryable: false },
  /** The model file is damaged, hostile, or of a kind that mull cannot run. */
  invalid_model: { exitCode: 1, httpStatus: 422, retryable: false },
  /** An attachment does not exist or cannot be opened. */
  media_not_found: { exitCode: 4, httpStatus: 400, retryable: false },
  /** The bytes are of a kind that mull does not read. */
  unsupported_media: { exitCode: 4, httpStatus: 415, retryable: false },
  /** The bytes claim a known format but cannot be decoded. */
  invalid_media: { exitCode: 4, httpStatus: 400, retryable: false },
  /** The attachment is over a limit (bytes, pixels, memory while decoding). */
  media_too_large: { exitCode: 4, httpStatus: 413, retryable: false },
  /** The model cannot take this kind of attachment, such as a picture for a text-only model. */
  unsupported_modality: { exitCode: 4, httpStatus: 400, retryable: false },
  /** The prompt does not fit the context. The message says how many tokens each part needs. */
  context_overflow: { exitCode: 1, httpStatus: 400, retryable: false },
  /** The chat template is broken, refuses these messages, or runs over its time limit. */
  template_failed: { exitCode: 1, httpStatus: 422, retryable: false },
  /** This platform has no engine, or its libraries are missing or of another version. */
  engine_unavailable: { exitCode: 1, httpStatus: 500, retryable: false },
  /** The engine process died. Requests in flight are lost; the next one starts a new process. */
  engine_crashed: { exitCode: 70, httpStatus: 500, retryable: true },
  /** The model, its context or an encoder did not get the memory it needs. */
  out_of_memory: { exitCode: 6, httpStatus: 503, retryable: true },
  /** The disk is full, or would be. */
  insufficient_storage: { exitCode: 1, httpStatus: 507, retryable: false },
  /** The store of models cannot be read or written: rights, a read-only disk, a lock. */
  store_unavailable: { exitCode: 1, httpStatus: 500, retryable: false },
  /** Bytes are not those that their digest names. */
  digest_mismatch: { exitCode: 1, httpStatus: 502, retryable: true },
  /** The server wants an API key, or does not know this one. */
  unauthorized: { exitCode: 5, httpStatus: 401, retryable: false },
  /** A Host or Origin that this server does not answer, or something it is not allowed to do. */
  forbidden: { exitCode: 5, httpStatus: 403, retryable: false },
  /** The server has no such route, or not with this method. */
  not_found: { exitCode: 1, httpStatus: 404, retryable: false },
  method_not_allowed: { exitCode: 1, httpStatus: 405, retryable: false },
  /** The body of a request is over the limit. */
  body_too_large: { exitCode: 2, httpStatus: 413, retryable: false },
  /** One client asks for more at once than it may. `details.retryAfterSeconds` says when to come back. */
  rate_limited: { exitCode: 1, httpStatus: 429, retryable: true },
  /** The queue is full. `details.retryAfterSeconds` says when to come back. */
  server_busy: { exitCode: 1, httpStatus: 503, retryable: true },
  /** No server answers at that address, or it is none that mull can speak with. */
  server_unreachable: { exitCode: 5, httpStatus: 502, retryable: true },
  /** A request ran over its time limit. */
  timeout: { exitCode: 1, httpStatus: 504, retryable: true },
  /** The caller's AbortSignal fired, or the user pressed Ctrl-C. */
  aborted: { exitCode: 130, httpStatus: 499, retryable: true },
  /** The model was closed while, or before, it was used. */
  closed: { exitCode: 1, httpStatus: 503, retryable: true },
  /** A fault of mull itself. */
  internal: { exitCode: 1, httpStatus: 500, retryable: false },
} as const;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** What crosses a process border instead of an Error. */
export interface SerializedError {
  code: ErrorCode;
  message: string;
  hint?: string;
  /** Signal and last log lines of a dead process, sizes of an overflow: facts for programs. */
  details?: Record<string, unknown>;
}

/**
 * The one error class. `message` says what happened and to which input; `hint` says what to do about it.
 * Recognise it with `MullError.is(error)`, which also works when two copies of the package are loaded.
 */
export class MullError extends Error {
  override readonly name = "MullError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Record<string, unknown>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }

  get exitCode(): number {
    return ERROR_TABLE[this.code].exitCode;
  }

  get httpStatus(): number {
    return ERROR_TABLE[this.code].httpStatus;
  }

  get retryable(): boolean {
    return ERROR_TABLE[this.code].retryable;
  }

  toJSON(): SerializedError {
    const json: SerializedError = { code: this.code, message: this.message };
    if (this.hint !== undefined) json.hint = this.hint;
    if (Object.keys(this.details).length > 0) json.details = this.details;
    return json;
  }

  static is(value: unknown): value is MullError {
    return value instanceof Error && value.name === "MullError" && "code" in value;
  }

  /** Rebuilds an error that came from another process. */
  static from(json: SerializedError): MullError {
    const { code, message, hint, details } = json;
    return new MullError(code, message, {
      ...(hint === undefined ? {} : { hint }),
      ...(details === undefined ? {} : { details }),
    });
  }

  /** Any thrown value as a MullError: itself, an abort as `aborted`, everything else as `internal`. */
  static wrap(value: unknown): MullError {
    if (MullError.is(value)) return value;
    if (value instanceof Error && value.name === "AbortError") {
      return new MullError("aborted", "The request was cancelled.", { cause: value });
    }
    const message = value instanceof Error ? value.message : String(value);
    return new MullError("internal", message, { cause: value });
  }
}
