import { resolveMedia, type ResolveOptions } from "../media/resolve-media.ts";
import type { ImagePart, MediaSource, Message } from "../spec/message.ts";
import type { EmbedInput } from "../spec/model.ts";
import type { ServerClient } from "./server-client.ts";

/** More digests than any server keeps pictures; then they are forgotten, and pictures sent again. */
const MOST_KNOWN = 4096;

/**
 * Brings pictures to a server before they are named in a request: as binary, each one once. Paths are read here, on
 * the machine of whoever asks.
 */
export class UploadedMedia {
  readonly #client: ServerClient;
  /** SHA-256 of pictures that the server was given, 64 hex digits. */
  readonly #known = new Set<string>();

  constructor(client: ServerClient) {
    this.#client = client;
  }

  /**
   * Replaces every picture by a reference to its upload, and gives each the name that receipts and errors call it.
   *
   * @throws MullError of the first picture that cannot be read, or of the server
   */
  async inMessages(messages: readonly Message[], signal: AbortSignal): Promise<Message[]> {
    const replaced: Message[] = [];
    let index = 0;
    for (const message of messages) {
      if (typeof message.content === "string") {
        replaced.push(message);
        continue;
      }
      const content = [];
      for (const part of message.content) {
        // Parts of other kinds go as they are: the server says what it does not take.
        content.push(part.type === "image" ? await this.#part(part, index++, signal) : part);
      }
      replaced.push({ ...message, content });
    }
    return replaced;
  }

  /** Like `inMessages`. @param first place of the first picture among all of the call */
  async inInputs(inputs: readonly EmbedInput[], first: number, signal: AbortSignal): Promise<EmbedInput[]> {
    const replaced: EmbedInput[] = [];
    let index = first;
    for (const input of inputs) {
      if (typeof input === "string" || input.image === undefined) replaced.push(input);
      else
        replaced.push({
          ...input,
          ...(await this.reference(input.image, { ...named(input), index: index++, signal })),
        });
    }
    return replaced;
  }

  /** @returns `sha256:` and the picture's digest, and its name */
  async reference(source: MediaSource, options: ResolveOptions): Promise<{ image: string; name: string }> {
    const { bytes, sha256, name } = await resolveMedia(source, options);
    if (!this.#known.has(sha256)) {
      await this.#client.call("/api/media", { method: "POST", body: bytes, signal: options.signal });
      if (this.#known.size >= MOST_KNOWN) this.#known.clear();
      this.#known.add(sha256);
    }
    return { image: `sha256:${sha256}`, name };
  }

  /** Sends every picture again: the server was restarted, or did not keep them. */
  forget(): void {
    this.#known.clear();
  }

  async #part(part: ImagePart, index: number, signal: AbortSignal): Promise<ImagePart> {
    return { ...part, ...(await this.reference(part.image, { ...named(part), index, signal })) };
  }
}

function named({ name }: { name?: string }): { name?: string } {
  return name === undefined ? {} : { name };
}
