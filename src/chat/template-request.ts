/** A message as chat templates read it: the shape of OpenAI's API, with arguments as an object. */
export interface TemplateMessage {
  role: string;
  content: string;
  reasoning_content?: string;
  tool_calls?: readonly TemplateToolCall[];
  tool_call_id?: string;
  name?: string;
}

export interface TemplateToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: unknown };
}

export interface TemplateTool {
  type: "function";
  function: { name: string; description: string; parameters: unknown };
}

export interface RenderRequest {
  template: string;
  messages: readonly TemplateMessage[];
  tools?: readonly TemplateTool[];
  /** Further variables, such as `enable_thinking`. */
  variables?: Readonly<Record<string, unknown>>;
  addGenerationPrompt: boolean;
  bosToken: string;
  eosToken: string;
}
