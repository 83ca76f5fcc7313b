import type { MediaSource, Message } from "../../spec/message.ts";
import type { EmbedInput, StreamRequest } from "../../spec/model.ts";
import { countImages, readMediaInput } from "../read-media-input.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";
import type { StreamBody, VectorsBody } from "./request-schemas.ts";

/**
 * A body as the model's request: with the bytes of its pictures, the server's limit of tokens, and a client that
 * nobody else can be.
 *
 * @throws MullError of the first picture that cannot be read; `invalid_argument` for too many of them
 */
export async function readStreamRequest(
  c: RequestContext,
  context: ServerContext,
  { model: _, ...body }: StreamBody,
): Promise<StreamRequest> {
  countImages(
    body.messages.reduce((sum, { content }) => sum + countParts(content), 0),
    context,
  );
  const messages: Message[] = [];
  for (const [index, message] of body.messages.entries()) {
    const content = await readContent(c, context, message.content, `messages[${index}].content`);
    messages.push({ ...message, content } as Message);
  }
  const maxTokens = limitTokens(body.maxTokens, context.options.maxTokens);
  return {
    ...(body as Partial<StreamRequest>),
    messages,
    ...(maxTokens === undefined ? {} : { maxTokens }),
    client: clientOf(c, body.client),
    signal: c.var.signal,
  };
}

/** @throws MullError as `readStreamRequest` */
export async function readInputs(
  c: RequestContext,
  context: ServerContext,
  inputs: VectorsBody["inputs"],
): Promise<EmbedInput[]> {
  countImages(
    inputs.filter((input) => typeof input !== "string" && input.image !== undefined).length,
    context,
  );
  const read: EmbedInput[] = [];
  for (const [index, input] of inputs.entries()) {
    if (typeof input === "string") read.push(input);
    else {
      const { image: given, ...rest } = input;
      const image =
        given === undefined ? {} : { image: await readImage(c, context, given, `inputs[${index}].image`) };
      read.push({ ...rest, ...image } as EmbedInput);
    }
  }
  return read;
}

/** A client of the caller's: two callers may both have one called "ann". */
export function clientOf(c: RequestContext, client: string | undefined): string {
  return client === undefined ? c.var.client : `${c.var.client}/${client}`;
}

type WireContent = StreamBody["messages"][number]["content"];

async function readContent(
  c: RequestContext,
  context: ServerContext,
  content: WireContent,
  where: string,
): Promise<unknown> {
  if (typeof content === "string") return content;
  const parts: unknown[] = [];
  for (const [index, part] of content.entries()) {
    const place = `${where}[${index}].image`;
    parts.push(
      part.type === "text" ? part : { ...part, image: await readImage(c, context, part.image, place) },
    );
  }
  return parts;
}

function readImage(
  c: RequestContext,
  context: ServerContext,
  image: unknown,
  where: string,
): Promise<MediaSource> {
  const { client, signal } = c.var;
  return readMediaInput(image, where, { context, client, signal });
}

function countParts(content: WireContent): number {
  return typeof content === "string" ? 0 : content.filter(({ type }) => type === "image").length;
}

/** The smaller of both, where undefined and -1 are no limit. */
function limitTokens(wanted: number | undefined, most: number | undefined): number | undefined {
  if (most === undefined) return wanted;
  return wanted === undefined || wanted === -1 ? most : Math.min(wanted, most);
}
