import { MediaDecoder } from "../../media/media-process.ts";
import { resolveMedia } from "../../media/resolve-media.ts";
import { MullError } from "../../spec/errors.ts";
import type { LoadOptions } from "../../spec/options.ts";
import type { MediaReceipt } from "../../spec/receipt.ts";
import { DEFAULT_MODEL } from "../ask/model-reference.ts";
import type { CliContext } from "../cli-context.ts";
import { errorText } from "../report-error.ts";
import { createPaint } from "../terminal/colour.ts";
import { receiptText } from "../terminal/receipt-text.ts";

export interface InspectSettings {
  load: LoadOptions;
  /** False: only decode, without asking any model what it would see. */
  useModel: boolean;
  json: boolean;
}

interface Inspector {
  inspect: (file: string) => Promise<MediaReceipt>;
  close: () => Promise<void>;
}

/**
 * `mull inspect FILE…`: the receipt of every file, without an answer. A bad file does not keep the others back.
 *
 * @returns the exit code of the last error, or 0
 */
export async function inspect(
  files: readonly string[],
  settings: InspectSettings,
  context: CliContext,
): Promise<number> {
  const { stdout, stderr, env } = context;
  const paint = createPaint(stderr, env);
  const inspector = settings.useModel ? await openModel(settings.load, context) : openDecoder(context);
  let exitCode = 0;
  try {
    for (const file of files) {
      try {
        const receipt = await inspector.inspect(file);
        const text = settings.json ? `${JSON.stringify({ type: "media", receipt })}\n` : receiptText(receipt);
        stdout.write(text);
      } catch (error) {
        const wrapped = MullError.wrap(error);
        if (wrapped.code === "aborted") throw wrapped;
        exitCode = wrapped.exitCode;
        if (settings.json) stdout.write(`${JSON.stringify({ type: "error", error: wrapped.toJSON() })}\n`);
        else stderr.write(errorText(wrapped, paint));
      }
    }
  } finally {
    await inspector.close();
  }
  return exitCode;
}

async function openModel(load: LoadOptions, { load: loadModel, signal }: CliContext): Promise<Inspector> {
  const model = await loadModel({ ...load, model: load.model ?? DEFAULT_MODEL, signal });
  return { inspect: (file) => model.inspect(file, { name: file, signal }), close: () => model.close() };
}

function openDecoder({ signal }: CliContext): Inspector {
  const decoder = new MediaDecoder();
  return {
    async inspect(file) {
      const item = await resolveMedia(file, { index: 0, name: file, signal });
      return (await decoder.decode(item, { signal })).receipt;
    },
    close: () => decoder.close(),
  };
}
