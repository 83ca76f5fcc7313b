import type { Metadata, Sharp, SharpOptions } from "sharp";
import { MullError } from "../spec/errors.ts";
import type { MediaReceipt, MediaStep } from "../spec/receipt.ts";
import { BACKGROUND, flattenAlpha } from "./flatten-alpha.ts";
import { iccProfileName } from "./icc-profile-name.ts";
import type { MediaLimits } from "./limits.ts";
import type { OpenPicture } from "./load-sharp.ts";
import type { MediaItem } from "./media-item.ts";
import type { RgbImage } from "./rgb-image.ts";
import type { PictureFormat } from "./sniff.ts";
import { countExternalReferences, SVG_BASE_DENSITY, svgDensity } from "./svg.ts";

export interface DecodedImage {
  image: RgbImage;
  /** Without `seen` and `tokens`: the encoder adds them. */
  receipt: MediaReceipt;
}

/** sharp's names of the formats, where they differ. */
const DECODER_NAMES: Partial<Record<PictureFormat, string>> = { avif: "heif" };

/**
 * Decodes one picture to upright 8-bit sRGB and writes down all that was done to it. Runs in the media process.
 *
 * The size in the header is judged before any pixel is decoded. Damaged and truncated files are refused: half a
 * picture would be answered about as if it were whole.
 *
 * @throws MullError invalid_media, media_too_large
 */
export async function decodeImage(
  open: OpenPicture,
  item: MediaItem,
  limits: MediaLimits,
): Promise<DecodedImage> {
  try {
    const header = await readHeader(open, item);
    checkSize(header, item, limits);
    const { steps, picture } = plan(open, item, header, limits);
    const { data, info } = await picture.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    const { rgb, transparent } = info.channels === 4 ? flattenAlpha(data) : { rgb: data, transparent: false };
    if (transparent) steps.push({ action: "flattened", background: BACKGROUND });
    const { name, format, bytes, sha256 } = item;
    const original = { width: header.width, height: header.height };
    return {
      image: { width: info.width, height: info.height, data: rgb }, // (rows, cols, 3) uint8
      receipt: { kind: "image", name, format, bytes: bytes.length, sha256, original, steps },
    };
  } catch (error) {
    throw explainDecoderError(error, item);
  }
}

async function readHeader(open: OpenPicture, item: MediaItem): Promise<Metadata> {
  // The decoder's own limit is off here, so that the refusal can name the size and the limit.
  const header = await open(item.bytes, { limitInputPixels: false, density: SVG_BASE_DENSITY }).metadata();
  const expected = DECODER_NAMES[item.format] ?? item.format;
  if (header.format !== expected) {
    throw new MullError("invalid_media", `${item.name} begins like ${item.format} but is something else.`);
  }
  return header;
}

/** Refuses by the header what would take too much memory to decode. An SVG is drawn at a size of our choice. */
function checkSize(header: Metadata, item: MediaItem, limits: MediaLimits): void {
  if (item.format === "svg") return;
  const { width, height, isProgressive } = header;
  const whole = isProgressive || ["webp", "avif", "gif"].includes(item.format);
  const limitPixels = whole ? Math.min(limits.wholePixels, limits.pixels) : limits.pixels;
  if (width * height <= limitPixels) return;
  const megapixels = (pixels: number): string => (pixels / 1e6).toFixed(1).replace(/\.0$/, "");
  const kind =
    whole && limitPixels < limits.pixels
      ? ` for ${isProgressive ? "progressive or interlaced " : ""}${item.format}`
      : "";
  throw new MullError(
    "media_too_large",
    `${item.name} has ${width}x${height} pixels (${megapixels(width * height)} megapixels); ` +
      `the limit${kind} is ${megapixels(limitPixels)}.`,
    {
      hint: "Make the picture smaller first. Models look at about one megapixel.",
      details: { width, height, limitPixels },
    },
  );
}

/** What will be done, in order, and the lazy pipeline that does it. */
function plan(
  open: OpenPicture,
  item: MediaItem,
  header: Metadata,
  limits: MediaLimits,
): { steps: MediaStep[]; picture: Sharp } {
  const steps: MediaStep[] = [];
  const options: SharpOptions = { failOn: "error", limitInputPixels: limits.pixels };
  let { width, height } = header.autoOrient;

  if (header.pages !== undefined && header.pages > 1) {
    steps.push({ action: "first-frame", frame: 0, of: header.pages });
  }
  if (item.format === "svg") {
    options.density = svgDensity(Math.max(width, height));
    width = Math.max(1, Math.round((width * options.density) / SVG_BASE_DENSITY));
    height = Math.max(1, Math.round((height * options.density) / SVG_BASE_DENSITY));
    steps.push({ action: "rasterised", width, height });
    const missing = countExternalReferences(item.bytes);
    if (missing > 0)
      steps.push({ action: "omitted", what: `${missing} external reference${missing > 1 ? "s" : ""}` });
  }
  let picture = open(item.bytes, options).autoOrient();
  if (header.orientation !== undefined && header.orientation > 1) {
    steps.push({ action: "oriented", exif: header.orientation, width, height });
  }
  if (width * height > limits.outputPixels) {
    const scale = Math.sqrt(limits.outputPixels / (width * height));
    width = Math.max(1, Math.floor(width * scale));
    height = Math.max(1, Math.floor(height * scale));
    picture = picture.resize({ width, height, fit: "fill", kernel: "lanczos3" });
    steps.push({ action: "resized", width, height, filter: "lanczos3, antialiased" });
  }
  const from = foreignColours(header);
  if (from !== undefined) steps.push({ action: "converted", from });
  return { steps, picture: picture.toColourspace("srgb") };
}

const DEPTHS: Partial<Record<string, string>> = {
  ushort: "16-bit",
  short: "16-bit",
  uint: "32-bit",
  int: "32-bit",
  float: "floating point",
  double: "floating point",
};
const SPACES: Partial<Record<string, string>> = {
  "b-w": "grey",
  grey16: "grey",
  cmyk: "cmyk",
  lab: "lab",
  scrgb: "scRGB",
};

/** What is not yet 8-bit sRGB about a picture, such as "16-bit grey" or "Display P3"; undefined if nothing is. */
function foreignColours(header: Metadata): string | undefined {
  const profile =
    header.icc === undefined ? undefined : (iccProfileName(header.icc) ?? "an unnamed ICC profile");
  const words = [
    DEPTHS[header.depth],
    SPACES[header.space],
    profile === undefined || /\bsrgb\b/i.test(profile) ? undefined : profile,
  ].filter((word) => word !== undefined);
  return words.length === 0 ? undefined : words.join(" ");
}

function explainDecoderError(error: unknown, item: MediaItem): MullError {
  if (MullError.is(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (/out of memory|unable to (?:m|re)?alloc|cannot allocate|allocation failed/i.test(text)) {
    return new MullError("media_too_large", `${item.name} needs more memory to decode than is allowed.`, {
      hint: "Make the picture smaller first, or save it without interlacing.",
      cause: error,
    });
  }
  const cutOff =
    /premature|unexpected end|end of (?:file|source)|truncat|bad seek|read error|insufficient/i.test(text);
  const reason = (text.split("\n").find((line) => line.trim() !== "") ?? "").slice(0, 200);
  return new MullError(
    "invalid_media",
    `${item.name} is ${cutOff ? "cut off or damaged" : "damaged"}: its ${item.format} data cannot be decoded (${reason}).`,
    { hint: "Does it open in a picture viewer? Save or download it again.", cause: error },
  );
}
