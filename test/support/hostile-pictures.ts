import { crc32, deflateSync } from "node:zlib";
import { testPicture } from "../../bench/test-picture.ts";

/** A PNG whose header claims a size; its data is a few bytes. */
export function headerOnly(width: number, height: number): Uint8Array {
  const png = Buffer.from(testPicture(1, 1, 1));
  png.writeUInt32BE(width, 16);
  png.writeUInt32BE(height, 20);
  png.writeUInt32BE(crc32(png.subarray(12, 29)) >>> 0, 29);
  return png;
}

/** A small file of zeros that unpacks to 3 x width x height bytes of pixels. */
export function bomb(width: number, height: number): Uint8Array {
  const png = Buffer.from(headerOnly(width, height));
  const rows = deflateSync(Buffer.alloc((1 + width * 3) * height), { level: 9 });
  const body = Buffer.concat([Buffer.from("IDAT"), rows]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(rows.length);
  check.writeUInt32BE(crc32(body) >>> 0);
  return Buffer.concat([png.subarray(0, 33), length, body, check, png.subarray(-12)]);
}
