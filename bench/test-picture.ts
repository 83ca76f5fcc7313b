import { crc32, deflateSync } from "node:zlib";

/** A PNG of coloured gradients that differ with the seed: 8-bit RGB, written without any picture library. */
export function testPicture(width: number, height: number, seed: number): Uint8Array {
  return encodePng(width, height, (x, y) => [
    (255 * x) / width,
    (255 * y) / height,
    (seed * 37 + 128 * (1 + Math.sin((x + y * seed) / 20))) & 255,
  ]);
}

/** A PNG of one colour. */
export function plainPicture(width: number, height: number, colour: readonly number[]): Uint8Array {
  return encodePng(width, height, () => colour);
}

/** A PNG of these pixels: (height, width, 3) uint8. */
export function encodeRgb(width: number, height: number, data: Uint8Array): Uint8Array {
  return encodePng(width, height, (x, y) => data.subarray((y * width + x) * 3, (y * width + x + 1) * 3));
}

export function encodePng(
  width: number,
  height: number,
  colourAt: (x: number, y: number) => ArrayLike<number>,
): Uint8Array {
  const rows = new Uint8Array(height * (1 + width * 3)); // (rows, 1 filter byte + cols * 3) uint8
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows.set(colourAt(x, y), y * (1 + width * 3) + 1 + x * 3);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB, deflate, standard filters, not interlaced
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows, { level: 1 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body) >>> 0);
  return Buffer.concat([length, body, check]);
}
