import { listHuggingFaceCache } from "./hugging-face-cache.ts";
import { listLlamaCppCache } from "./llama-cpp-cache.ts";
import { listLmStudioModels } from "./lm-studio-models.ts";
import type { FoundModel } from "./found-model.ts";
import { listOllamaModels } from "./ollama-models.ts";

/**
 * All models that other programs on this machine have, read where they lie: Ollama, the Hugging Face cache, llama.cpp,
 * LM Studio, in this order. A file that two of them list (llama.cpp in the Hub's cache) is the first one's. Never throws:
 * what cannot be used has a `problem`.
 */
export async function listElsewhere(env: NodeJS.ProcessEnv): Promise<readonly FoundModel[]> {
  const lists = await Promise.all([
    listOllamaModels(env),
    listHuggingFaceCache(env),
    listLlamaCppCache(env),
    listLmStudioModels(env),
  ]);
  const known = new Set<string>();
  return lists.flat().filter(({ kind, model, manifestPath, folder }) => {
    const key = manifestPath ?? folder ?? `${kind} ${model.join("\0")}`;
    return !known.has(key) && known.add(key);
  });
}
