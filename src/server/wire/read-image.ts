import type { MediaSource } from "../../spec/message.ts";
import type { WireImage } from "./wire-schemas.ts";

/**
 * Opens one picture of a request.
 *
 * @param where place in the body for errors, such as "messages[2].content[0].image_url.url"
 */
export type ReadImage = (image: WireImage, where: string) => Promise<MediaSource>;
