import { resolve } from "node:path";
import { MullError } from "../../spec/errors.ts";
import type { ImagePart, Message } from "../../spec/message.ts";
import type { Model } from "../../spec/model.ts";
import type { GenerationOptions, LoadOptions } from "../../spec/options.ts";
import { parseModelName } from "../../store/model-name.ts";
import { saveModel } from "../../store/saved-model.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import { explainUnknownModel } from "../ask/explain-unknown-model.ts";
import { DEFAULT_MODEL, type ModelChoice, splitModelFromPrompt } from "../ask/model-reference.ts";
import { type Question, userMessage } from "../ask/question.ts";
import type { LoadModel } from "../cli-context.ts";
import type { Parameter } from "../options/parameters.ts";
import { setParameter } from "../options/run-options.ts";
import type { AnswerView } from "../terminal/answer-view.ts";

export interface SessionOptions {
  choice: ModelChoice;
  /** The model, loaded as `choice` and `load` say. */
  model: Model;
  /** What the flags added; stays in force when another model is loaded. */
  load: LoadOptions;
  generation: GenerationOptions;
  system: string | undefined;
  loadModel: LoadModel;
  env: NodeJS.ProcessEnv;
}

/** A conversation with a model: what was said, and how the model is set. */
export class Session {
  name: string;
  system: string | undefined;
  generation: GenerationOptions;
  readonly #options: SessionOptions;
  #load: LoadOptions;
  /** The last options that the model could be loaded with. */
  #provenLoad: LoadOptions;
  #messages: Message[];
  /** Undefined after a change that takes effect by loading again. */
  #model: Model | undefined;
  /** Where pictures come from, whose bytes the messages hold. */
  readonly #paths = new WeakMap<ImagePart, string>();

  constructor(options: SessionOptions) {
    const { choice } = options;
    this.#options = options;
    this.name = choice.name;
    this.#load = { ...choice.load, ...options.load };
    this.#provenLoad = this.#load;
    this.#model = options.model;
    this.system = options.system ?? choice.saved?.system;
    this.generation = { ...choice.saved?.generation, ...options.generation };
    this.#messages = [...(choice.saved?.messages ?? [])];
  }

  get load(): LoadOptions {
    return this.#load;
  }

  /** What was said: user and assistant by turns. */
  get messages(): readonly Message[] {
    return this.#messages;
  }

  /** The model; loaded now if a setting needs that. */
  async model(view: AnswerView, signal: AbortSignal): Promise<Model> {
    if (this.#model !== undefined) return this.#model;
    try {
      this.#model = await this.#loadModel(this.#load, view, signal);
    } catch (error) {
      const { code, message, details } = MullError.wrap(error);
      this.#load = this.#provenLoad;
      const hint = "The setting from before is in force again.";
      throw new MullError(code, message, { hint, details, cause: error });
    }
    this.#provenLoad = this.#load;
    return this.#model;
  }

  /**
   * One turn. A turn that fails leaves no trace in the conversation; one that is stopped keeps what was said.
   *
   * @throws MullError of the answer; `aborted` when it was stopped before the first word
   */
  async ask(question: Question, view: AnswerView, signal: AbortSignal): Promise<void> {
    const message = userMessage(question);
    this.#rememberPaths(message, question);
    const system: Message[] = this.system === undefined ? [] : [{ role: "system", content: this.system }];
    const model = await this.model(view, signal);
    let answer = "";
    // Pictures of earlier turns are part of every request; what was done to them has been said.
    let known = this.#messages.reduce((sum, { content }) => sum + countPictures(content), 0);
    try {
      const messages = [...system, ...this.#messages, message];
      for await (const part of model.stream({ ...this.generation, messages, signal })) {
        if (part.type === "text-delta") answer += part.delta;
        if (part.type !== "media" || known-- <= 0) view.show(part);
      }
    } catch (error) {
      if (!signal.aborted || answer === "") throw error;
    } finally {
      view.end();
    }
    this.#messages.push(message, { role: "assistant", content: answer.trim() });
  }

  /** Forgets what was said; the system message and the parameters stay. */
  clear(): void {
    this.#messages = [];
  }

  /** A number of the context or the engine loads the model again at the next question. */
  async setParameter(parameter: Parameter, value: number): Promise<void> {
    const load = { ...this.#load };
    setParameter(parameter, value, load, this.generation);
    if (load[parameter.key as keyof LoadOptions] === this.#load[parameter.key as keyof LoadOptions]) return;
    this.#load = load;
    const model = this.#model;
    this.#model = undefined;
    await model?.close();
  }

  /** Goes on with another model and its own conversation. The present one stays until the other is there. */
  async switchTo(choice: ModelChoice, view: AnswerView, signal: AbortSignal): Promise<void> {
    const load = { ...choice.load };
    const model = await this.#loadModel(load, view, signal).catch(async (error: unknown) => {
      throw await explainUnknownModel(error, { ...choice, words: ["-"] }, this.#options.env);
    });
    const previous = this.#model;
    this.#model = model;
    this.#load = load;
    this.#provenLoad = load;
    this.name = choice.name;
    this.system = choice.saved?.system;
    this.generation = { ...choice.saved?.generation };
    this.#messages = [...(choice.saved?.messages ?? [])];
    await previous?.close();
  }

  /** @returns the file that was written */
  async save(name: string): Promise<string> {
    if (name === DEFAULT_MODEL || splitModelFromPrompt([name], undefined).words.length > 0) {
      throw new MullError("invalid_argument", `A session cannot be saved as '${name}'.`, {
        hint:
          name === DEFAULT_MODEL
            ? "That is the model that comes with mull."
            : "Use letters, digits, '.', '_' and '-'.",
      });
    }
    await this.#requireFree(name);
    const { signal: _, onProgress: __, ...load } = this.#load;
    const absolute = (path: string): string => (/\.gguf$/i.test(path) ? resolve(path) : path);
    if (load.model !== undefined) load.model = absolute(load.model);
    if (load.projector !== undefined) load.projector = resolve(load.projector);
    return saveModel(
      name,
      {
        load,
        generation: this.generation,
        messages: this.#messages.map((message) => this.#withPaths(message)),
        ...(this.system === undefined ? {} : { system: this.system }),
      },
      this.#options.env,
    );
  }

  /** A saved conversation would hide a model of the store that goes by its name. */
  async #requireFree(name: string): Promise<void> {
    const parsed = parseModelName(name);
    const { openStore } = await import("../../store/open-store.ts");
    const store = openStore({ root: defaultStoreRoot(this.#options.env) });
    if (parsed === undefined || (await store.find(parsed).catch(() => undefined)) === undefined) return;
    throw new MullError("invalid_argument", `There is a model called '${name}' in the store.`, {
      hint: "Save the conversation under another name.",
    });
  }

  async close(): Promise<void> {
    await this.#model?.close();
    this.#model = undefined;
  }

  async #loadModel(load: LoadOptions, view: AnswerView, signal: AbortSignal): Promise<Model> {
    try {
      return await this.#options.loadModel({
        ...load,
        signal,
        onProgress: (completed, total) => view.show({ type: "progress", stage: "load", completed, total }),
      });
    } finally {
      view.end();
    }
  }

  #rememberPaths(message: Message, question: Question): void {
    if (typeof message.content === "string") return;
    for (const [index, { path }] of question.attachments.entries()) {
      const part = message.content[index];
      if (part?.type === "image" && path !== undefined) this.#paths.set(part, path);
    }
  }

  #withPaths(message: Message): Message {
    if (typeof message.content === "string") return message;
    const content = message.content.map((part) => {
      const path = part.type === "image" ? this.#paths.get(part) : undefined;
      return path === undefined ? part : { ...part, image: path };
    });
    return { ...message, content };
  }
}

function countPictures(content: Message["content"]): number {
  return typeof content === "string" ? 0 : content.filter(({ type }) => type === "image").length;
}
