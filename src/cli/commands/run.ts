import { MullError } from "../../spec/errors.ts";
import { loadOrPull } from "../ask/load-or-pull.ts";
import { chooseModel } from "../ask/model-reference.ts";
import type { LoadOptions } from "../../spec/options.ts";
import type { CliContext, LoadModel } from "../cli-context.ts";
import type { RunSettings } from "../options/run-options.ts";
import { chooseLoader } from "../server/choose-loader.ts";
import { createJsonView, HumanView } from "../terminal/answer-view.ts";
import { createPaint } from "../terminal/colour.ts";
import { safeText } from "../terminal/safe-text.ts";

/**
 * `mull run`. Loading starts before anything else is looked at: it is the longest part of a short answer.
 *
 * @returns the exit code
 * @throws MullError of whatever went wrong
 */
export async function run(
  words: readonly string[],
  settings: RunSettings,
  context: CliContext,
): Promise<number> {
  const choice = await chooseModel(words, settings.load.model, context.env);
  const interactive = context.stdin.isTTY === true && choice.words.join("").trim() === "";
  const view = settings.json
    ? createJsonView(context.stdout)
    : new HumanView({
        ...context,
        verbose: settings.verbose,
        receipts: settings.receipt,
        wordWrap: settings.wordWrap,
      });
  if (interactive && settings.json) {
    throw new MullError("invalid_argument", "--json needs a prompt, or something on stdin.");
  }
  const paint = createPaint(context.stderr, context.env);
  const stop = new AbortController();
  const say = (text: string): void => {
    if (settings.verbose && !settings.json) context.stderr.write(`${paint("dim", safeText(text))}\n`);
  };
  const loaderFor = async (options: LoadOptions): Promise<LoadModel> =>
    settings.local ? context.load : chooseLoader(options, context.load, context.env, say);
  const options: LoadOptions = {
    ...choice.load,
    ...settings.load,
    model: choice.load.model ?? choice.name,
    signal: AbortSignal.any([context.signal, stop.signal]),
    onProgress: (completed, total) => view.show({ type: "progress", stage: "load", completed, total }),
  };
  const loading = loadOrPull(await loaderFor(options), options, context);
  // Whatever fails first is reported; a failure of loading that comes after it is not a second one.
  loading.catch(() => {});
  try {
    if (interactive) {
      const { openRepl } = await import("../repl/open-repl.ts");
      const load: LoadModel = async (changed) => loadOrPull(await loaderFor(changed), changed, context);
      return await openRepl(loading, choice, settings, view, { ...context, load });
    }
    const { askOnce } = await import("../ask/ask-once.ts");
    await askOnce(loading, choice, settings, view, context);
    await (await loading).close();
    return 0;
  } catch (error) {
    view.end();
    stop.abort();
    // Not waited for: the message is more urgent than the end of a process that ends with this one anyway.
    loading.then((model) => model.close()).catch(() => {});
    const { explainUnknownModel } = await import("../ask/explain-unknown-model.ts");
    const explained = await explainUnknownModel(error, choice, context.env);
    if (!settings.json) throw explained;
    view.show({ type: "error", error: explained.toJSON() });
    return explained.exitCode;
  }
}
