import { writeRandomTextModel } from "../../bench/random-model.ts";
import { writeTinyGemma3 } from "./tiny-gemma3.ts";
import {
  type SiglipShape,
  TINY_GEMMA3_PROJECTOR,
  TINY_IDEFICS3_PROJECTOR,
  writeTinySiglip,
} from "./tiny-siglip.ts";

/** A picture and a prompt that are given to llama.cpp's mtmd and to mull. */
export interface SiglipCase {
  name: string;
  projector: SiglipShape;
  width: number;
  height: number;
  before: string;
  after: string;
  /** What mtmd leaves out around a picture. */
  around: string;
}

export const SIGLIP_CASES: readonly SiglipCase[] = [
  {
    name: "gemma3",
    projector: TINY_GEMMA3_PROJECTOR,
    // mtmd puts bars around a picture that is not square, where Gemma's code stretches it.
    ...{ width: 200, height: 200 },
    ...{ before: "<start_of_turn>user\nlook", after: "what is it<end_of_turn>\n", around: "\n\n" },
  },
  ...(
    [
      [640, 480],
      [37, 113],
      [300, 40],
    ] as const
  ).map(([width, height]) => ({
    name: `idefics3 ${width}x${height}`,
    projector: TINY_IDEFICS3_PROJECTOR,
    ...{ width, height },
    ...{ before: "<|im_start|>User:", after: "what is it<end_of_utterance>\nAssistant:", around: "" },
  })),
];

const IDEFICS3_TOKENS = [
  "<|im_start|>",
  "<end_of_utterance>",
  "<fake_token_around_image>",
  "<global-img>",
  ...[1, 2, 3, 4].flatMap((row) => [1, 2, 3, 4].map((column) => `<row_${row}_col_${column}>`)),
];

export async function writeSiglipModels(
  { projector }: Pick<SiglipCase, "projector">,
  paths: { model: string; projector: string },
): Promise<void> {
  if (projector.projector === "gemma3") await writeTinyGemma3(paths.model);
  else await writeRandomTextModel(paths.model, { controlTokens: IDEFICS3_TOKENS });
  await writeTinySiglip(paths.projector, projector);
}

/** Gradients, stripes and grain by a formula that needs no random numbers: (height, width, 3) uint8. */
export function drawPixels(width: number, height: number): Uint8Array {
  const data = new Uint8Array(width * height * 3);
  for (let index = 0; index < data.length; index++) {
    const channel = index % 3;
    const x = ((index - channel) / 3) % width;
    const y = Math.floor(index / 3 / width);
    data[index] = (x * 7 + y * 13 + channel * 50 + ((x * y) % 11) * 9) % 256;
  }
  return data;
}
