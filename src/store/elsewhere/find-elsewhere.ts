import { chooseVariants } from "../gguf-files/choose-gguf.ts";
import { fileName } from "../gguf-files/gguf-group.ts";
import { DEFAULT_HOST, DEFAULT_TAG, nameKey, parseModelName } from "../model-name.ts";
import { type ModelReference, parseReference } from "../reference.ts";
import type { FoundModel } from "./found-model.ts";
import { listElsewhere } from "./list-elsewhere.ts";

/**
 * The model of another program that a person means by a name: `llava` as Ollama has it, `org/repo`, `org/repo:Q4_K_M`
 * or `hf.co/org/repo:Q4_K_M` in the other programs' folders, or the name that `listElsewhere` gives. Undefined: nobody
 * has it. One that is damaged is found only when no sound one goes by that name.
 *
 * @throws MullError `invalid_argument` for a text that is no reference
 */
export async function findElsewhere(name: string, env: NodeJS.ProcessEnv): Promise<FoundModel | undefined> {
  const reference = parseReference(name);
  const models = await listElsewhere(env);
  return chooseFound(models, name, reference);
}

/** @param models in the order in which programs are asked */
export function chooseFound(
  models: readonly FoundModel[],
  name: string,
  reference: ModelReference,
): FoundModel | undefined {
  const fits = [...byOllamaName(models, reference), ...byRepository(models, reference)];
  if (fits.length === 0)
    fits.push(...models.filter((model) => model.name.toLowerCase() === name.toLowerCase()));
  return fits.find(({ problem }) => problem === undefined) ?? fits[0];
}

function byOllamaName(models: readonly FoundModel[], reference: ModelReference): readonly FoundModel[] {
  if (!("name" in reference)) return [];
  const wanted = nameKey(reference.name);
  return models.filter(({ source, name }) => {
    const own = source === "ollama" ? parseModelName(name) : undefined;
    return own !== undefined && nameKey(own) === wanted;
  });
}

function byRepository(models: readonly FoundModel[], reference: ModelReference): readonly FoundModel[] {
  const wanted = repositoryOf(reference);
  if (wanted === undefined) return [];
  const same = models.filter(
    ({ repository }) => repository?.toLowerCase() === wanted.repository.toLowerCase(),
  );
  const choose = (some: readonly FoundModel[]): readonly FoundModel[] => {
    const variants = some
      .filter(({ kind }) => kind === "gguf")
      .map((model) => ({
        path: fileName((model.model[0] ?? "").replaceAll("\\", "/")),
        quantization: model.quantization,
        model,
      }));
    return chooseVariants(variants, wanted.quantization).map(({ model }) => model);
  };
  const sound = choose(same.filter(({ problem }) => problem === undefined));
  if (sound.length > 0) return sound;
  const folders = wanted.quantization === undefined ? same.filter(({ kind }) => kind === "folder") : [];
  return [...choose(same), ...folders];
}

function repositoryOf(
  reference: ModelReference,
): { repository: string; quantization: string | undefined } | undefined {
  if (reference.kind === "hugging-face") return reference;
  if (reference.kind !== "registry") return undefined;
  const { host, namespace, model, tag } = reference.name;
  if (host.toLowerCase() !== DEFAULT_HOST) return undefined;
  return { repository: `${namespace}/${model}`, quantization: tag === DEFAULT_TAG ? undefined : tag };
}
