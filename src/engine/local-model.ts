import { freemem } from "node:os";
import { setTimeout } from "node:timers/promises";
import type { CacheClient } from "../cache/cache-client.ts";
import { openCache } from "../cache/open-cache.ts";
import { visibleControlTokens } from "../chat/answer-parser.ts";
import { BUILTIN_TEMPLATES } from "../chat/builtin-templates.ts";
import { checkTemplate } from "../chat/check-template.ts";
import { templateFeatures } from "../chat/template-features.ts";
import { TemplateRenderer } from "../chat/template-renderer.ts";
import { rowsOf } from "../encoders/picture-layout.ts";
import { openImageEncoder } from "../encoders/open-image-encoder.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import { validateAdapter } from "../gguf/validate-adapter.ts";
import { validateProjector } from "../gguf/validate-projector.ts";
import { validateTextModel } from "../gguf/validate-text-model.ts";
import { Backend } from "../native/backend.ts";
import { LIBRARY_VERSION } from "../native/library-package.ts";
import { loadLibraries } from "../native/libraries.ts";
import { declareLlama } from "../native/llama.ts";
import { checkLlamaLayout } from "../native/llama-layout.ts";
import { MullError } from "../spec/errors.ts";
import type { ModelInfo } from "../spec/model.ts";
import { cacheIdentity } from "./cache-identity.ts";
import { Embedder } from "./embedder.ts";
import { parallelByMemory } from "./kv-bytes.ts";
import { isSmallModel, mapsFile, mostCommonType, spareContexts } from "./memory-plan.ts";
import { physicalCores } from "./physical-cores.ts";
import { PictureRows } from "./picture-rows.ts";
import type { PromptModel } from "./prompt-layout.ts";
import { PrefixSnapshots } from "./prefix-snapshots.ts";
import type { EngineLoadOptions } from "./protocol.ts";
import { Scheduler } from "./scheduler.ts";
import { TextModel } from "./text-model.ts";

/** A loaded model inside the engine process: text model, encoder, chat template, and who works with them. */
export interface LocalModel extends PromptModel {
  info: ModelInfo;
  scheduler: Scheduler;
  /** Of an embedding model, which answers nothing. */
  embedder: Embedder | undefined;
  cache: CacheClient;
  /** Control tokens that the answer's parser needs to see. */
  visibleTokens: ReadonlySet<number>;
  /** All other control tokens that do not end an answer. */
  hiddenTokens: readonly number[];
}

/** Token type CONTROL of `tokenizer.ggml.token_type`. */
const CONTROL = 3;

const RANK_POOLING = 4;

/** How long loading waits for the cache's thread. */
const CACHE_START_MS = 100;

/**
 * Loads a model: both files are read and checked before native code opens either.
 * The encoder comes first, because choosing its precision needs memory that is free again before the text model.
 */
export async function loadLocalModel(
  options: EngineLoadOptions,
  onProgress: (completedBytes: number, totalBytes: number) => void,
): Promise<LocalModel> {
  const renderer = new TemplateRenderer();
  const textFile = await readGguf(options.splitFiles ?? options.model);
  validateTextModel(textFile);
  const adapters = await readAdapters(options.adapters, textFile);
  const projectorFile = options.projector === undefined ? undefined : await readGguf(options.projector);
  if (projectorFile !== undefined) {
    validateProjector(projectorFile);
    requireSameWidth(textFile, projectorFile);
  }
  const adapterBytes = adapters.reduce((sum, adapter) => sum + adapter.fileBytes, 0);
  const fileBytes = textFile.fileBytes + (projectorFile?.fileBytes ?? 0) + adapterBytes;
  onProgress(0, fileBytes);
  const cache = openCache({ diskCache: options.diskCache });
  // A KV state is of the text model with its adapters; a picture's rows do not depend on them.
  const textFiles = [...textFile.paths, ...options.adapters];
  const digestedFiles = { model: textFiles, projector: projectorFile?.paths ?? [] };
  // Started before native code keeps the only thread of libuv's pool busy: the cache's thread loads its code through it.
  await Promise.race([cache.fileDigest(textFile.path), setTimeout(CACHE_START_MS)]);

  const libraries = loadLibraries({ device: options.device, logs: "stderr" });
  const llama = declareLlama(libraries);
  checkLlamaLayout(llama);
  llama.backendInit();
  const exact = isSmallModel(fileBytes);
  const threads = options.threads ?? (exact ? 1 : physicalCores());
  const backend = new Backend(libraries, { device: options.device, threads });
  const encoder =
    projectorFile === undefined
      ? undefined
      : await openImageEncoder(projectorFile, backend, {
          precision: options.encoderPrecision,
          ...(options.compat === undefined ? {} : { compat: options.compat }),
          onProgress: (completed) => onProgress(completed, fileBytes),
        });
  const encoderBytes = projectorFile?.fileBytes ?? 0;
  const embeddingModel = isEmbeddingModel(textFile);
  const text = new TextModel(libraries, llama, backend.ggml, {
    paths: textFile.paths,
    adapters: options.adapters,
    contextLength: options.contextLength,
    parallel: (contextLength) => chooseParallel(options, textFile, contextLength, fileBytes),
    ...(encoder?.rowsSeeEachOther === true ? { mostRows: encoder.mostRows ?? 0 } : {}),
    spareContexts: spareContexts({ exact, embeddingModel }),
    threads,
    embeddingModel,
    memoryMap: mapsFile(textFile, backend.isCpu),
    onProgress: (fraction) => onProgress(encoderBytes + fraction * textFile.fileBytes, fileBytes),
  });
  if (encoder !== undefined && encoder.embeddingLength !== text.embeddingLength) {
    throw widthError(projectorFile?.path ?? "", encoder.embeddingLength, textFile.path, text.embeddingLength);
  }
  onProgress(fileBytes, fileBytes);

  const identity = cacheIdentity(cache, digestedFiles, {
    model: options.name,
    device: backend.name,
    engineBuild: LIBRARY_VERSION,
    encoder: [encoder?.precision ?? "", ...(options.compat === undefined ? [] : [options.compat])].join(
      ", as ",
    ),
  });
  const pictures = encoder === undefined ? undefined : new PictureRows(encoder, cache, identity);
  const snapshots = new PrefixSnapshots(text, pictures, cache, identity);
  const scheduler = new Scheduler({
    text,
    pictures,
    snapshots,
    exact,
    together: encoder?.rowsSeeEachOther === true,
  });

  const template = chooseTemplate(options, textFile, encoder !== undefined);
  const features = templateFeatures(template.source);
  const tokens = textFile.strings("tokenizer.ggml.tokens") ?? [];
  const tokenOf = (key: string): string => tokens[textFile.number(key) ?? -1] ?? "";
  const bosToken = tokenOf("tokenizer.ggml.bos_token_id");
  const eosToken = tokenOf("tokenizer.ggml.eos_token_id");
  const types = textFile.numbers("tokenizer.ggml.token_type");
  const license = textFile.string("general.license");
  const controls = [...tokens.keys()].filter((token) => types?.[token] === CONTROL);
  const visibleTokens = new Set(visibleControlTokens(template.source).map((piece) => tokens.indexOf(piece)));
  return {
    text,
    encoder,
    scheduler,
    embedder: embeddingModel ? new Embedder(text) : undefined,
    cache,
    controlTokens: controls.map((token) => tokens[token] as string),
    visibleTokens,
    hiddenTokens: controls.filter((token) => !visibleTokens.has(token) && !text.endsGeneration(token)),
    render: (request) => renderer.render({ template: template.source, ...request, bosToken, eosToken }),
    info: {
      name: options.name,
      architecture: textFile.requireString("general.architecture"),
      parameters: text.parameters,
      quantization: mostCommonType(textFile),
      contextLength: text.contextLength,
      trainedContextLength: text.trainedContextLength,
      parallel: text.parallel,
      capabilities: embeddingModel
        ? ["embedding"]
        : [
            "completion",
            ...(encoder === undefined ? [] : ["vision" as const]),
            ...(features.tools ? ["tools" as const] : []),
            ...(features.thinking ? ["thinking" as const] : []),
          ],
      embeddingLength: text.embeddingLength,
      input: encoder === undefined ? ["text"] : ["text", "image"],
      output: ["text"],
      ...(encoder === undefined
        ? {}
        : {
            encoder: {
              projector: encoder.projector,
              imageSize: encoder.imageSize,
              tokensPerImage: rowsOf(encoder.layout(encoder.imageSize, encoder.imageSize)),
              precision: encoder.precision,
              ...(options.compat === undefined ? {} : { compat: options.compat }),
            },
          }),
      template,
      files: {
        model: options.model,
        ...(options.projector === undefined ? {} : { projector: options.projector }),
        ...(options.adapters.length === 0 ? {} : { adapters: options.adapters }),
      },
      fileBytes,
      ...(license === undefined ? {} : { license }),
      device: backend.name,
      threads,
    },
  };
}

async function readAdapters(paths: readonly string[], textFile: Gguf): Promise<Gguf[]> {
  const adapters: Gguf[] = [];
  for (const path of paths) {
    const adapter = await readGguf(path);
    validateAdapter(adapter, textFile);
    adapters.push(adapter);
  }
  return adapters;
}

/** `{architecture}.pooling_type` says how token states become one vector: 1 mean, 2 first token, 3 last token. */
function isEmbeddingModel(textFile: Gguf): boolean {
  const pooling = textFile.number(`${textFile.requireString("general.architecture")}.pooling_type`) ?? 0;
  if (pooling === RANK_POOLING) {
    throw new MullError("invalid_model", `${textFile.path} ranks texts; it neither answers nor embeds.`, {
      hint: "mull runs models that answer, and models that embed.",
    });
  }
  return pooling > 0;
}

function chooseParallel(
  { parallel }: EngineLoadOptions,
  textFile: Gguf,
  contextLength: number,
  fileBytes: number,
): number {
  if (parallel !== "auto") return parallel;
  return parallelByMemory(textFile, contextLength, freemem() - fileBytes);
}

/** A projector of another model gives rows of another width: llama.cpp would read past them. */
function requireSameWidth(textFile: Gguf, projectorFile: Gguf): void {
  const type = projectorFile.string("clip.projector_type") ?? "mlp";
  // Of other families only the encoder itself knows, once it is there.
  if (type !== "mlp" && type !== "linear") return;
  const architecture = textFile.requireString("general.architecture");
  const expected = textFile.requireNumber(`${architecture}.embedding_length`);
  const output =
    projectorFile.tensors.get("mm.3.weight") ??
    projectorFile.tensors.get("mm.2.weight") ??
    projectorFile.tensors.get("mm.0.weight");
  const width = output?.shape[1];
  if (width !== expected) throw widthError(projectorFile.path, width, textFile.path, expected);
}

function widthError(projector: string, width: number | undefined, text: string, expected: number): MullError {
  return new MullError(
    "invalid_model",
    `${projector} makes rows of width ${width}, but ${text} reads rows of width ${expected}.`,
    { hint: "This projector belongs to another model: use the mmproj file published with the text model." },
  );
}

function chooseTemplate(
  { template, fallbackTemplate }: EngineLoadOptions,
  textFile: Gguf,
  seesPictures: boolean,
): ModelInfo["template"] {
  if (template !== undefined) return namedTemplate(template, "option");
  const own = textFile.string("tokenizer.chat_template");
  if (own !== undefined) return { source: own, origin: "gguf" };
  if (fallbackTemplate !== undefined) return namedTemplate(fallbackTemplate, "manifest");
  const name = seesPictures ? "vicuna_v1" : "plain";
  return { source: BUILTIN_TEMPLATES[name] as string, origin: name };
}

function namedTemplate(text: string, origin: string): ModelInfo["template"] {
  const builtin = BUILTIN_TEMPLATES[text];
  if (builtin !== undefined) return { source: builtin, origin: text };
  if (text.includes("{")) {
    checkTemplate(text);
    return { source: text, origin };
  }
  throw new MullError("invalid_argument", `There is no built-in chat template "${text}".`, {
    hint: `Built in: ${Object.keys(BUILTIN_TEMPLATES).join(", ")}; or give the source of one, in Jinja or as a Go template.`,
  });
}
