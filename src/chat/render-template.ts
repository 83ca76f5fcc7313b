import { Template } from "@huggingface/jinja";

export interface TemplateMessage {
  role: string;
  content: string;
}

export interface RenderRequest {
  template: string;
  messages: readonly TemplateMessage[];
  addGenerationPrompt: boolean;
  bosToken: string;
  eosToken: string;
}

/** Stands for a user's text when a template is probed for how it reads message contents. */
const PROBE = "mull-content-probe";

/**
 * Renders a chat template. Runs in a worker, because a template comes with the model file and may loop for ever.
 *
 * Contents are strings. Templates written only for typed parts (`content[0].text`) print nothing for a string;
 * they are found by a probe and given one text part instead. No template ever sees a picture: its place is marked
 * inside the text, so that nothing a template does can move or double it.
 */
export function renderTemplate(request: RenderRequest): string {
  const template = new Template(request.template);
  const asString = (content: string): unknown => content;
  const asParts = (content: string): unknown => [{ type: "text", text: content }];
  const render = (messages: readonly TemplateMessage[], content: (text: string) => unknown): string =>
    template.render({
      messages: messages.map((message) => ({ role: message.role, content: content(message.content) })),
      add_generation_prompt: request.addGenerationPrompt,
      bos_token: request.bosToken,
      eos_token: request.eosToken,
    });
  const takesStrings = printsProbe(() => render([{ role: "user", content: PROBE }], asString));
  return render(request.messages, takesStrings ? asString : asParts);
}

function printsProbe(render: () => string): boolean {
  try {
    return render().includes(PROBE);
  } catch {
    return false;
  }
}
