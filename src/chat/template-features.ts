export function templateFeatures(_: string): { tools: boolean; thinking: boolean } {
  return { tools: false, thinking: false };
}
