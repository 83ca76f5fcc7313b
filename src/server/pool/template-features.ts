/** What a chat template can show to its model, told by the words in it. */
export function templateFeatures(template: string): { tools: boolean; thinking: boolean } {
  return {
    tools: /\btools\b|tool_call/.test(template),
    thinking: /<\/?think>|reasoning_content|enable_thinking/.test(template),
  };
}
