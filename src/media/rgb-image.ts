/** A decoded picture: 8-bit sRGB, upright, no alpha. */
export interface RgbImage {
  width: number;
  height: number;
  /** (rows, cols, 3) uint8 */
  data: Uint8Array;
}
