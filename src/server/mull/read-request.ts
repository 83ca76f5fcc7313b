import type { WireStreamRequest } from "../../providers/wire.ts";
import type { Message } from "../../spec/message.ts";
import type { EmbedInput, StreamRequest } from "../../spec/model.ts";
import type { CatalogEntry } from "../model-pool.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";
import { withDefaultMessages } from "../../chat/with-defaults.ts";
import { limitTokens } from "../wire/complete-request.ts";
import { imageReader } from "../wire/image-reader.ts";
import type { ReadImage } from "../wire/read-image.ts";
import type { WireImage } from "../wire/wire-schemas.ts";

/**
 * A body as the model's request: with what a saved model carries along, the bytes of the pictures, the server's limit
 * of tokens, and a client that nobody else can be.
 *
 * @throws MullError of the first picture that cannot be read; `invalid_argument` for too many of them
 */
export async function readStreamRequest(
  c: RequestContext,
  context: ServerContext,
  entry: CatalogEntry,
  body: Omit<WireStreamRequest, "model">,
): Promise<StreamRequest> {
  const readImage = imageReader(c, context);
  const messages: Message[] = [];
  for (const [index, message] of body.messages.entries()) {
    messages.push(await withBytes(message, `messages[${index}].content`, readImage));
  }
  const request: StreamRequest = {
    ...entry.generation,
    ...body,
    messages: body.raw === true ? messages : withDefaultMessages(messages, entry),
    client: clientOf(c, body.client),
    signal: c.var.signal,
  };
  return limitTokens(request, context.options.maxTokens);
}

/** @throws MullError as `readStreamRequest` */
export async function readInputs(
  c: RequestContext,
  context: ServerContext,
  inputs: readonly EmbedInput[],
): Promise<EmbedInput[]> {
  const readImage = imageReader(c, context);
  const read: EmbedInput[] = [];
  for (const [index, input] of inputs.entries()) {
    if (typeof input === "string" || input.image === undefined) read.push(input);
    else read.push({ ...input, image: await readImage(input.image as WireImage, `inputs[${index}].image`) });
  }
  return read;
}

/** A client of the caller's: two callers may both have one called "ann". */
export function clientOf(c: RequestContext, client: string | undefined): string {
  return client === undefined ? c.var.client : `${c.var.client}/${client}`;
}

async function withBytes(message: Message, where: string, readImage: ReadImage): Promise<Message> {
  if (typeof message.content === "string") return message;
  const content = [];
  for (const [index, part] of message.content.entries()) {
    if (part.type === "text") content.push(part);
    else
      content.push({ ...part, image: await readImage(part.image as WireImage, `${where}[${index}].image`) });
  }
  return { ...message, content };
}
