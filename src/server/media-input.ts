import type { MediaSource } from "../spec/message.ts";
import type { ServerContext } from "./server-context.ts";

/**
 * A picture as a request's body holds it, to what a `Model` takes. Bodies are parsed off the main thread, where long
 * base64 strings become bytes already, so both can come here.
 *
 * - bytes, or base64 text without a prefix (Ollama, Anthropic)
 * - `data:` URL (OpenAI)
 * - `sha256:<64 hex digits>`: uploaded before with `POST /api/media`
 * - `https:` URL, only if the server allows it; guarded against private addresses
 *
 * Never a path: no file of the server's machine can be named in a request.
 *
 * @param where place in the request for errors, such as "messages[2].images[0]"
 * @throws MullError `media_not_found`, `invalid_media`, `forbidden` (URLs are not allowed), `media_too_large`
 */
export type ReadMediaInput = (
  value: unknown,
  where: string,
  request: { context: ServerContext; client: string; signal: AbortSignal },
) => Promise<MediaSource>;
