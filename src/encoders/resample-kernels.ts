/** How much a pixel counts at a distance from the point that is asked for, as Pillow has it (src/libImaging/Resample.c). */
export interface ResampleKernel {
  /** As receipts call it. */
  name: "bilinear" | "bicubic" | "lanczos";
  /** Pixels further away than this count nothing. */
  support: number;
  weight: (distance: number) => number;
}

/** Triangle. */
export const BILINEAR: ResampleKernel = {
  name: "bilinear",
  support: 1,
  weight: (distance) => Math.max(0, 1 - Math.abs(distance)),
};

/** Keys' cubic convolution with a = -0.5. */
export const BICUBIC: ResampleKernel = {
  name: "bicubic",
  support: 2,
  weight: (distance) => {
    const a = -0.5;
    const x = Math.abs(distance);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
  },
};

/** Sinc, ended by a sinc three times as wide. */
export const LANCZOS: ResampleKernel = {
  name: "lanczos",
  support: 3,
  weight: (distance) => (distance >= -3 && distance < 3 ? sinc(distance) * sinc(distance / 3) : 0),
};

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}
