import type { MediaReceipt, MediaStep } from "../../spec/receipt.ts";
import { formatBytes, plural } from "./format-quantity.ts";
import { safeName } from "./safe-text.ts";

/**
 * A receipt for people, two lines:
 *
 *     ./smile.png  png 640x480, 52.1 kB
 *       padded to 640x640 → resized to 96x96 (bicubic, antialiased) → 36 tokens
 */
export function receiptText(receipt: MediaReceipt): string {
  const { original, seen, tokens } = receipt;
  const chain = receipt.steps.map(stepText);
  if (seen !== undefined && receipt.steps.length === 0) chain.push("seen as it is");
  if (tokens !== undefined)
    chain.push(`${plural(tokens, "token")}${receipt.cached === true ? ", cached" : ""}`);
  if (chain.length === 0) chain.push("nothing to change");
  const head = `${safeName(receipt.name)}  ${receipt.format} ${original.width}x${original.height}, ${formatBytes(receipt.bytes)}`;
  return `${head}\n  ${chain.join(" → ")}\n`;
}

const LOSSES = new Set<MediaStep["action"]>(["first-frame", "omitted", "cropped"]);

/** Steps after which the model has not seen a part of what the file holds. */
export function lossesText(receipt: MediaReceipt): string {
  const losses = receipt.steps.filter(({ action }) => LOSSES.has(action));
  return losses.map((step) => `${safeName(receipt.name)}: ${stepText(step)}\n`).join("");
}

function stepText(step: MediaStep): string {
  switch (step.action) {
    case "oriented":
      return `turned upright ${step.width}x${step.height} (EXIF ${step.exif})`;
    case "first-frame":
      return `frame ${step.frame + 1} of ${step.of} only`;
    case "flattened":
      return `transparency on ${colourName(step.background)}`;
    case "converted":
      return `8-bit sRGB from ${safeName(step.from)}`;
    case "rasterised":
      return `drawn at ${step.width}x${step.height}`;
    case "omitted":
      return `left out: ${safeName(step.what)}`;
    case "padded":
      return `padded to ${step.width}x${step.height}`;
    case "cropped":
      return `cropped to ${step.width}x${step.height}`;
    case "tiled":
      return (
        `cut into ${step.columns}x${step.rows} tiles of ${step.width}x${step.height}` +
        (step.overview ? ", and the whole as one more" : "")
      );
    case "compat":
      return `as ${safeName(step.with)} does it`;
    case "merged":
      return `${step.of} rows merged into ${step.tokens} (${safeName(step.method)})`;
    default:
      return `resized to ${step.width}x${step.height} (${safeName(step.filter)})`;
  }
}

function colourName(colour: readonly [number, number, number]): string {
  if (colour.every((value) => value === 255)) return "white";
  if (colour.every((value) => value === 0)) return "black";
  return `#${colour.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
