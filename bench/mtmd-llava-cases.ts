import type { ProjectorShape } from "./random-projector.ts";

/** Generated models and pictures on which mull and llama.cpp's mtmd are compared. */
export interface MtmdCase {
  name: string;
  shape: Partial<ProjectorShape>;
  picture: { width: number; height: number };
}

const TILES = [32, 64, 64, 32, 64, 64, 96, 32, 32, 96];
/** llama.cpp's MobileVLM projectors are for 24 patches on a side. */
const MOBILE = { imageSize: 96, patchSize: 4, blocks: 2, featureLayer: 2 } as const;

export const MTMD_CASES: readonly MtmdCase[] = [
  { name: "class token", shape: { classToken: true, blocks: 3 }, picture: { width: 37, height: 113 } },
  { name: "no class token", shape: { featureLayer: 2 }, picture: { width: 60, height: 40 } },
  {
    name: "tiles",
    shape: { classToken: true, pinpoints: TILES, mergeType: "spatial_unpad", newline: "v.image_newline" },
    picture: { width: 80, height: 48 },
  },
  {
    name: "tiles in one line",
    shape: { featureLayer: 2, pinpoints: TILES, mergeType: "flat" },
    picture: { width: 300, height: 80 },
  },
  {
    name: "no larger than a tile",
    shape: { featureLayer: 2, pinpoints: TILES },
    picture: { width: 20, height: 32 },
  },
  { name: "Yi-VL", shape: { projector: "mlp_norm", featureLayer: 2 }, picture: { width: 64, height: 64 } },
  { name: "MobileVLM", shape: { ...MOBILE, projector: "ldp" }, picture: { width: 120, height: 90 } },
  { name: "MobileVLM V2", shape: { ...MOBILE, projector: "ldpv2" }, picture: { width: 96, height: 96 } },
];

/** The question behind the picture. */
export const MTMD_QUESTION = "\nWhat is it?";

/** Wide enough a context for the tiles. */
export const MTMD_TEXT = { contextLength: 2048, seed: 77 } as const;

/** (height, width, 3) uint8: gradients and grain. */
export function mtmdPicture({ width, height }: MtmdCase["picture"]): Uint8Array {
  const data = new Uint8Array(width * height * 3);
  for (let index = 0; index < data.length; index++) {
    const pixel = Math.floor(index / 3);
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    data[index] = (x * (3 + (index % 3)) + y * 5 + ((x * y + index * 7) % 23) * 4) % 256;
  }
  return data;
}
