import { countImages, readMediaInput } from "../read-media-input.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";
import type { ReadImage } from "./read-image.ts";

/** Opens the pictures of one request, and no more of them than the server takes. */
export function imageReader(c: RequestContext, context: ServerContext): ReadImage {
  const { client, signal } = c.var;
  let images = 0;
  return async (image, where) => {
    countImages(++images, context);
    return readMediaInput(image, where, { context, client, signal });
  };
}
