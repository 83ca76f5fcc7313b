import { answerGrammar } from "../chat/answer-grammar.ts";
import type { LocalModel } from "./local-model.ts";
import type { EnginePart, GenerateRequest } from "./protocol.ts";
import { layOutPrompt } from "./prompt-layout.ts";

/**
 * One request from messages to text: render and lay out the prompt, then have the scheduler read what is not in a
 * cache yet (encoding pictures on the way) and choose tokens until the model, a stop string or a limit ends the
 * answer. Its parts are told as they come; the last one is `finish`.
 *
 * @throws MullError `context_overflow`, `template_failed`, `unsupported_modality`; the signal's reason when aborted
 */
export async function generate(
  model: LocalModel,
  request: GenerateRequest,
  signal: AbortSignal,
  emit: (part: EnginePart) => void,
): Promise<void> {
  const { options, client, logprobs, format } = request;
  const layout = await layOutPrompt(model, request);
  signal.throwIfAborted();
  emit({ type: "prompt", end: layout.end });
  const rules = answerGrammar({
    ...request.prompt,
    ...(format === undefined ? {} : { format }),
    template: model.info.template.source,
    prompt: layout.end,
  });
  const grammar = rules === undefined ? undefined : model.text.grammar(rules);
  try {
    const { maxTokens } = options;
    await model.scheduler.run({
      client,
      layout,
      images: request.images.map(({ image }) => image),
      goal: {
        options,
        limit: maxTokens === undefined || maxTokens < 0 ? Number.POSITIVE_INFINITY : maxTokens,
        grammar,
        logprobs,
        visible: model.visibleTokens,
        hidden: model.hiddenTokens,
      },
      signal,
      emit,
    });
  } finally {
    grammar?.close();
  }
}
